// The first minute with the console as a newcomer has it, and a server that is killed between two calls of a model.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, serve, signedIn } from "./bed.mjs";
import { within } from "./measure.mjs";
import { provider } from "./provider.mjs";
import { SLOW } from "./sample.mjs";

const repository = new URL("../../", import.meta.url).pathname;
const FOO = `# ---
# description: Was not there a moment ago
# mode: task
# ---
import json, sys
json.load(sys.stdin)
print(json.dumps({"text": "foo"}))
`;
// Three calls, one after the other; the second is held until the server was killed.
const CALLS = `# ---
# description: Asks three times
# mode: task
# ---
import json, os, sys, urllib.request

def ask(text):
    body = {"model": "fast", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(opener.open(request))["choices"][0]["message"]["content"]

json.load(sys.stdin)
print(json.dumps([ask(text) for text in ("one", "two", "three")]))
`;
const ASKING = "name: asking\nsteps:\n  ask: { worker: calls }\n";

test("the first minute: a run moves, a text is tried, a worker appears, and a kill is survived", {
  timeout: 240_000,
}, async (t) => {
  const files = Object.fromEntries(
    ["workers", "workflows", "samples"].map((name) => [name, { copy: join(repository, name) }]),
  );
  let server = await serve({ files, env: { RUN_WORKERS: "true" } });
  t.after(() => server.stop());
  const chrome = await browser();
  t.after(() => chrome.close());
  const { page, open, faults } = await signedIn(chrome, server);

  await open("/monitor");
  await page.getByText("offline methods answer").waitFor();
  const analysis = ["run", "workflows/complete-analysis.yaml", "--input", "document=@samples/annual-report.pdf"];
  const client = spawn(process.env.KAPELLE, analysis, { cwd: server.folder, stdio: "ignore" });
  t.after(() => client.kill());
  await open("/runs");
  await page.getByRole("link", { name: "complete-analysis" }).first().click();
  await page.waitForURL("**/ui/runs/run_*");
  const grid = page.getByRole("treegrid");
  for (const step of ["summary", "sentiment", "category", "questions", "analysis", "translation"]) {
    await grid.locator(`[data-path='${step}']`).waitFor();
  }
  await page.locator("header").getByText("succeeded").first().waitFor({ timeout: 60_000 });
  await grid.locator("[data-path='translation']").click();
  await page.getByText("model required").first().waitFor();

  await open("/try?worker=keywords");
  await page.getByRole("textbox", { name: /^Text/ }).fill("The reading room needs light. The light needs windows.");
  await page.getByRole("button", { name: "Submit" }).click();
  const answer = page.locator("section", { has: page.getByRole("heading", { name: "keywords" }) });
  await answer.getByText("succeeded").waitFor();
  await answer.getByText("$0", { exact: true }).waitFor();

  await open("/workers?view=scripts");
  for (const name of ["auditProcessor", "clearTemp", "codeImprovement", "goalWatcher", "maintenanceScheduler"]) {
    await page.getByRole("link", { name, exact: true }).waitFor();
  }
  for (const name of ["memorySync", "text_digest", "word_counter"]) {
    await page.getByRole("link", { name, exact: true }).waitFor();
  }
  const began = performance.now();
  writeFileSync(join(server.folder, "workers/foo.py"), FOO);
  await page.getByRole("link", { name: "foo", exact: true }).waitFor();
  within(t, "a new worker is on the page after", performance.now() - began, 2_000);

  const slow = await server.run(SLOW.replace("120000", "3000"), {}, false);
  await open(`/runs/${slow}`);
  await server.kill();
  await page.getByText("Connection to the server lost").waitFor();
  const { folder, address } = server;
  server = await serve({ folder, listen: address, env: { RUN_WORKERS: "true" } });
  await page.getByText("Connection to the server lost").waitFor({ state: "detached" });
  await page.locator("header").getByText("succeeded").first().waitFor({ timeout: 60_000 });
  assert.deepEqual(faults, []);
});

test("what a model has answered before a kill is replayed, and the page says that it is not paid again", {
  timeout: 240_000,
}, async (t) => {
  const models = await provider();
  t.after(models.stop);
  const env = { RUN_WORKERS: "true", OPENAI_API_KEY: "sk-of-the-test", OPENAI_BASE_URL: models.url };
  let server = await serve({ files: { "workers/calls.py": CALLS }, env });
  t.after(() => server.stop());
  const chrome = await browser();
  t.after(() => chrome.close());
  const { page, open } = await signedIn(chrome, server);
  models.state.holdFrom = 2;
  const id = await server.run(ASKING, {}, false);
  await open(`/runs/${id}?view=calls`);
  await page.getByRole("row", { name: /gpt/ }).nth(1).waitFor({ timeout: 60_000 });
  while (models.state.asked < 2) await page.evaluate(() => new Promise(requestAnimationFrame));
  await server.kill();
  await page.getByText("Connection to the server lost").waitFor();
  models.release();
  const { folder, address } = server;
  server = await serve({ folder, listen: address, env });
  await page.getByText("Connection to the server lost").waitFor({ state: "detached" });
  await page.locator("header").getByText("succeeded").first().waitFor({ timeout: 60_000 });
  await open(`/runs/${id}?step=ask`);
  await page.getByText("replayed 1 and paid $0").waitFor();
  await page.getByText("replayed 1, paid $0").waitFor();
  // Three calls, and the one that was under way when the server was killed.
  assert.equal(models.state.asked, 4);
});
