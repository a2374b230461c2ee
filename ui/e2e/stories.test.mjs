// What people do with the console, on the real program: sign in, see a run, go back in time, lose the server, come back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { blemishes, browser, serve, signedIn } from "./bed.mjs";
import { ASKS, fill, HOSTILE, SLOW } from "./sample.mjs";

let server, chrome, made;

before(async () => {
  server = await serve();
  made = await fill(server);
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await server?.stop();
});

/** A tab that is closed after the test, with no fault noted in it. */
async function tab(t, options) {
  const made = await signedIn(chrome, options?.server ?? server, options);
  t.after(async () => {
    await made.close();
    if (!options?.faulty) assert.deepEqual(made.faults, []);
  });
  return made;
}

test("a code lets in once, leaves the address, and cannot be used again", async (t) => {
  const { body } = await server.ask("POST", "/api/v1/sessions/codes");
  const context = await chrome.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(server.url + body.path);
  await page.waitForSelector("nav[aria-label='Pages']");
  assert.ok(!page.url().includes("code="), page.url());
  assert.deepEqual(await context.cookies(), []);
  const key = await page.evaluate(() => sessionStorage.getItem("kapelle.token"));
  assert.notEqual(key, server.token);
  const other = await (await chrome.newContext()).newPage();
  await other.goto(server.url + body.path);
  await other.getByText("Print a link that signs in once").waitFor();
  await other.context().close();
});

test("a second tab of the same browser is let in by the first", async (t) => {
  const { page, context } = await tab(t);
  const second = await context.newPage();
  await second.goto(`${server.url}/ui/runs`);
  await second.getByRole("heading", { name: "Runs" }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await second.getByText("You signed out in another tab").waitFor();
});

test("a link in a tab that is let in already asks first", async (t) => {
  const { page } = await tab(t);
  const was = await page.evaluate(() => sessionStorage.getItem("kapelle.token"));
  const { body } = await server.ask("POST", "/api/v1/sessions/codes");
  await page.goto("about:blank");
  await page.goto(server.url + body.path);
  await page.getByText("Sign in with this link?").waitFor();
  await page.getByRole("button", { name: "Not now" }).click();
  assert.equal(await page.evaluate(() => sessionStorage.getItem("kapelle.token")), was);
});

test("a viewer sees no button that changes anything, and the server refuses it too", async (t) => {
  const key = (await server.ask("POST", "/api/v1/keys", { name: "looks", role: "viewer" })).body.secret;
  const { page, open } = await tab(t, { key });
  await open(`/runs/${made.slow}`);
  await page.getByText("may not change runs").waitFor();
  for (const name of ["Cancel", "Pause", "Rerun", "Signal"])
    assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  await open("/workflows/demo?view=text");
  assert.equal(await page.getByRole("button", { name: "Publish" }).count(), 0);
  assert.equal((await server.ask("POST", `/api/v1/runs/${made.slow}/cancel`, {}, key)).status, 403);
});

test("a revoked key is out within 5 seconds, and nothing more is asked with it", async (t) => {
  const created = (await server.ask("POST", "/api/v1/keys", { name: "leaves", role: "operator" })).body;
  const { page, open } = await tab(t, { key: created.secret });
  await open("/runs");
  await server.ask("DELETE", `/api/v1/keys/${created.id}`);
  const began = Date.now();
  await page.getByText("This key is not valid any more").waitFor({ timeout: 8_000 });
  assert.ok(Date.now() - began < 5_500, `${Date.now() - began} ms`);
  let asked = 0;
  page.on("request", () => (asked += 1));
  await page.getByLabel("Key").fill("kap_nothing");
  assert.equal(asked, 0);
});

test("an outline shows what ran and failed, a step its error, and keys go through it", async (t) => {
  const { page, open } = await tab(t);
  await open(`/runs/${made.demo}`);
  const grid = page.getByRole("treegrid");
  await grid.getByText("start", { exact: true }).waitFor();
  const lost = grid.locator("[data-path='choose.lost']");
  assert.equal(await lost.getAttribute("data-state"), "failed");
  assert.equal(await grid.locator("[data-path='loop[0]']").count(), 0, "what succeeded is folded");
  await lost.click();
  await page.getByText("model required").first().waitFor();
  await page.getByRole("button", { name: "Rerun from choose" }).waitFor();
  await grid.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => new URL(location.href).searchParams.get("step") === "pause");
});

test("a fan-out is one line with a map, and its items can be listed", async (t) => {
  const { page, open } = await tab(t);
  await open(`/runs/${made.demo}`);
  const grid = page.getByRole("treegrid");
  await grid.getByRole("img", { name: /^Items: 120 succeeded/ }).waitFor();
  assert.equal(await grid.locator("[data-path^='each[']").count(), 0);
  await grid.getByRole("button", { name: "120 succeeded" }).click();
  await page.getByRole("table", { name: "Items that are succeeded" }).getByText("each[0]", { exact: true }).waitFor();
  await page.locator("main canvas").click({ position: { x: 4, y: 4 } });
  await page.waitForURL("**/ui/tasks/task_*");
  await page.getByText("each[0]").first().waitFor();
});

test("a run that a step starts is unfolded in its place", async (t) => {
  const source = "name: inner\nsteps:\n  deep: { worker: log, with: { message: deep } }\n";
  const published = await server.ask("POST", "/api/v1/workflows", { source });
  assert.ok(published.status < 300, JSON.stringify(published.body));
  const id = await server.run("name: outer\nsteps:\n  sub: { workflow: inner }\n");
  const { page, open } = await tab(t);
  await open(`/runs/${id}`);
  const grid = page.getByRole("treegrid", { name: /^Steps, / });
  await grid.getByText("sub", { exact: true }).waitFor();
  assert.equal(await page.getByText("deep", { exact: true }).count(), 0, "what succeeded is folded");
  await grid.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  const inner = page.getByRole("region", { name: /^Run run_/ });
  await inner.getByText("deep", { exact: true }).waitFor();
  assert.deepEqual(await blemishes(page), []);
  await inner.getByText("deep", { exact: true }).click();
  await page.getByRole("heading", { name: "inner" }).waitFor();
});

test("keys alone find a run, go through its steps, and repeat it from one", async (t) => {
  const { page, open } = await tab(t);
  await open("/runs");
  /** Presses Tab until something has the focus. */
  const reach = async (found, what) => {
    for (let times = 0; times < 80; times += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(found)) return;
    }
    assert.fail(`Tab does not reach ${what}`);
  };
  await page.keyboard.press("Control+k");
  await page.keyboard.type(made.demo);
  await page
    .getByRole("option", { name: new RegExp(made.demo) })
    .first()
    .waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("treegrid").getByText("start", { exact: true }).waitFor();
  await reach(() => document.activeElement?.getAttribute("role") === "treegrid", "the steps");
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => new URL(location.href).searchParams.get("step") === "pause");
  await reach(() => document.activeElement?.textContent === "Rerun from here", "the button");
  await page.keyboard.press("Enter");
  await page
    .getByRole("dialog")
    .getByText(/run again/)
    .first()
    .waitFor();
  await reach(() => document.activeElement?.textContent === "Start the rerun", "the start");
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(ring, "none", "what has the focus shows it");
  await page.keyboard.press("Enter");
  await page.getByText("repeats").waitFor();
});

test("going back in time shows the states of then", async (t) => {
  const { page, open } = await tab(t);
  await open(`/runs/${made.demo}?at=1`);
  const grid = page.getByRole("treegrid");
  await page.waitForFunction(
    () => document.querySelector("[data-path='end']")?.getAttribute("data-state") === "pending",
  );
  assert.equal(await grid.locator("[data-path='start']").getAttribute("data-state"), "running");
  await page.getByRole("button", { name: "Now" }).click();
  await page.waitForFunction(
    () => document.querySelector("[data-path='end']")?.getAttribute("data-state") === "succeeded",
  );
});

test("a graph draws each step once, and a press chooses it", async (t) => {
  const { page, open } = await tab(t);
  await open(`/runs/${made.demo}?view=graph`);
  await page.waitForSelector(".react-flow__node");
  assert.ok((await page.locator(".react-flow__node").count()) < 30);
  await page.locator(".react-flow__node").filter({ hasText: "pause" }).first().click();
  await page.waitForFunction(() => new URL(location.href).searchParams.get("step") === "pause");
});

test("a run moves by itself, is paused, resumed and cancelled", async (t) => {
  const { page, open } = await tab(t);
  await open("/runs");
  const id = await server.run(SLOW, {}, false);
  await page.getByText(id).waitFor({ timeout: 6_000 });
  await open(`/runs/${id}`);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("The run is paused").waitFor();
  await page.getByRole("main").getByRole("button", { name: "Resume", exact: true }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByLabel("Reason").fill("enough");
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await page.getByText("Cancelled: enough").waitFor();
});

test("a rerun from a step says what is reused, and runs twice never", async (t) => {
  const { page, open } = await tab(t);
  await open(`/runs/${made.demo}`);
  await page.getByRole("button", { name: "Rerun", exact: true }).click();
  await page.getByLabel("Run again").selectOption("choose");
  await page.getByText(/2 steps run again \(choose, end\); 4 results are used again/).waitFor();
  const before = (await server.ask("GET", "/api/v1/runs?limit=1000")).body.runs.length;
  await page.getByRole("button", { name: "Start the rerun" }).dblclick();
  await page.getByText(`repeats`).waitFor();
  assert.equal((await server.ask("GET", "/api/v1/runs?limit=1000")).body.runs.length, before + 1);
  await page.getByRole("tab", { name: "Compare" }).click();
  await page.getByRole("table", { name: "Steps compared" }).waitFor();
});

test("an analysis runs both ways, is compared, reports, and becomes a workflow", async (t) => {
  const { page, open } = await tab(t);
  await open("/analyse");
  await page.getByRole("button", { name: "Take a sample text" }).click();
  await page.getByRole("tab", { name: "Both, compared" }).click();
  await page.getByRole("button", { name: "Analyse", exact: true }).click();
  await page.getByText(/in parallel, .* in sequence: /).waitFor({ timeout: 30_000 });
  await page.getByRole("heading", { name: "Report" }).waitFor();
  await page.getByRole("button", { name: "Save as workflow" }).click();
  await page.getByLabel("Name").fill("saved-analysis");
  await page.getByRole("button", { name: "Publish" }).click();
  await page.getByText("Published: kapelle run saved-analysis").waitFor();
  assert.equal((await server.ask("GET", "/api/v1/workflows/saved-analysis")).status, 200);
});

test("a definition is checked as it is typed, with the problem at its line", async (t) => {
  const { page, open } = await tab(t);
  await open("/workflows/demo?view=text");
  await page.getByText("It is valid.").waitFor();
  const editor = page.getByRole("textbox", { name: "Definition" });
  await editor.click();
  await page.keyboard.press("Control+Home");
  await page.keyboard.type("nonsense: 1\n");
  await page.getByText(/line 1, column 1/).waitFor();
  assert.ok(await page.getByRole("button", { name: "Publish" }).isDisabled());
});

test("versions are compared as text and as graph, and rolled back", async (t) => {
  const { page, open } = await tab(t);
  await open("/workflows/demo?view=versions");
  await page
    .getByRole("group", { name: /Difference between/ })
    .getByText("message: ended")
    .waitFor();
  await page.getByRole("tab", { name: "Graph" }).last().click();
  await page.getByRole("button", { name: "Roll back" }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await page.getByText("3, newest").first().waitFor();
});

test("hostile text is text", async (t) => {
  const { page, open } = await tab(t);
  await open(`/tasks/${made.hostile}`);
  await page.getByText("<script>window.harmed=1</script>").first().waitFor();
  const shown = await page.locator("main").textContent();
  assert.ok(shown.includes("\\u001b[31mred") && shown.includes("\\u{202e}gpj.exe"), shown.slice(0, 2_000));
  await open(`/tasks?q=${encodeURIComponent(HOSTILE.slice(0, 40))}&steps=true`);
  const source = `name: "hostile"\ndescription: ${JSON.stringify(HOSTILE)}\nsteps:\n  x: { worker: log, with: { message: ${JSON.stringify(HOSTILE)} } }\n`;
  const id = await server.run(source);
  for (const path of [
    `/runs/${id}?view=values`,
    `/runs/${id}?view=journal`,
    "/workflows",
    "/workflows/hostile?view=text",
    "/runs",
  ])
    await open(path);
  assert.equal(await page.evaluate(() => window.harmed), undefined);
});

test("the palette finds pages, actions and ids", async (t) => {
  const { page, open } = await tab(t);
  await open("/runs");
  await page.keyboard.press("Control+k");
  await page.keyboard.type(made.demo);
  await page
    .getByRole("option", { name: new RegExp(made.demo) })
    .first()
    .waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/ui/runs/${made.demo}`);
  await page.getByRole("heading", { name: "demo" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await page.getByRole("heading", { name: "Tasks" }).waitFor();
});

test("a killed server is told, and the run goes on when it is back", async (t) => {
  const mine = await serve();
  const id = await mine.run(ASKS, {}, false);
  const { page, open, close } = await signedIn(chrome, mine);
  t.after(close);
  await open(`/runs/${id}`);
  await page.getByRole("treegrid").getByText("approve", { exact: true }).waitFor();
  await mine.kill();
  await page.getByText("Connection to the server lost").waitFor({ timeout: 10_000 });
  const again = await serve({ folder: mine.folder, listen: mine.address });
  t.after(again.stop);
  await page.getByText("Connection to the server lost").waitFor({ state: "detached", timeout: 15_000 });
  const { approvals } = (await again.ask("GET", "/api/v1/approvals")).body;
  await again.ask("POST", `/api/v1/approvals/${approvals[0].id}/approve`, {});
  await page.locator("header").getByText("succeeded").waitFor({ timeout: 10_000 });
});
