// The pictures of the console in docs/images: the sample document is analysed, as `make run` does, and looked at.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { browser, serve, signedIn } from "./bed.mjs";

const repository = new URL("../../", import.meta.url).pathname;
/** Bytes of a picture at most: the README shows them. */
const MOST = 150 * 1024;

const copied = ["workers", "workflows", "samples"].map((name) => [name, { copy: join(repository, name) }]);
const server = await serve({ files: Object.fromEntries(copied) });
const chrome = await browser();

/** Saves what the tab shows as WebP. */
async function save(tab, name) {
  await tab.page.mouse.move(0, 0);
  await tab.page.evaluate(() => scrollTo(0, 0));
  await tab.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  const session = await tab.context.newCDPSession(tab.page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 82 });
  const bytes = Buffer.from(data, "base64");
  if (bytes.length > MOST) throw new Error(`${name}: ${bytes.length} bytes; expected at most ${MOST}`);
  writeFileSync(join(repository, "docs/images", name), bytes);
  console.log(`docs/images/${name}: ${bytes.length} bytes`);
}

try {
  const analysis = ["run", "workflows/complete-analysis.yaml", "--input", "document=@samples/annual-report.pdf"];
  const { status, stderr } = spawnSync(process.env.KAPELLE, analysis, { cwd: server.folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`kapelle run ended with ${status}: ${stderr}`);
  const { runs } = (await server.ask("GET", "/api/v1/runs")).body;
  const tab = await signedIn(chrome, server, { width: 1280, height: 800 });

  await tab.open(`/runs/${runs[0].id}?step=translation`);
  await tab.page.getByText("model required").first().waitFor();
  await save(tab, "console-run.webp");

  await tab.open(`/runs/${runs[0].id}?view=graph`);
  await tab.page.locator(".react-flow__node").first().waitFor();
  await save(tab, "console-graph.webp");

  await tab.open("/try?worker=keywords&second=sentiment_analyzer");
  await tab.page.getByRole("button", { name: "Sample text" }).click();
  await tab.page.getByRole("button", { name: "Ask both" }).click();
  await tab.page.getByText("succeeded").nth(1).waitFor();
  await save(tab, "console-try.webp");
} finally {
  await chrome.close();
  await server.stop();
}
