// What people do on the pages beside runs: try a worker, watch, answer, mend, pay, let others in. On the real program,
// with scripts and a provider of models that the test plays.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser, serve, signedIn } from "./bed.mjs";
import { within } from "./measure.mjs";
import { provider } from "./provider.mjs";
import { ASKS, HOSTILE } from "./sample.mjs";

const SUMMARY = JSON.stringify({ text: "The room needs light.", key_points: ["light", "windows"] });
const ECHO = `# ---
# description: Gives back what it got
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string } } }
# ---
import json, sys
given = json.load(sys.stdin)
print("read " + str(len(given["text"])) + " characters", file=sys.stderr)
print(json.dumps({"text": given["text"]}))
`;
const TICKS = (word) => `# ---
# description: Says a word now and then
# mode: daemon
# ---
import time
while True:
    print(${JSON.stringify(word)}, flush=True)
    time.sleep(0.2)
`;

const HARM = `# ---
# description: Writes what it was given, and fails with it
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string } } }
# ---
import json, sys
text = json.load(sys.stdin)["text"]
print(text, file=sys.stderr)
raise ValueError(text)
`;

let server, chrome, models;

before(async () => {
  models = await provider();
  models.state.answer = SUMMARY;
  const repository = new URL("../../", import.meta.url).pathname;
  server = await serve({
    files: {
      "workers/summarizer.yaml": { copy: join(repository, "workers/summarizer.yaml") },
      "workers/echo.py": ECHO,
    },
    env: { OPENAI_API_KEY: "sk-of-the-test", OPENAI_BASE_URL: models.url, RUN_WORKERS: "true" },
  });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  models?.stop();
  await server?.stop();
});

/** A tab that is closed after the test, with no fault noted in it. */
async function tab(t, options = {}) {
  const made = await signedIn(chrome, server, options);
  made.page.setDefaultTimeout(12_000);
  t.after(async () => {
    await made.close();
    assert.deepEqual(made.faults, []);
  });
  return made;
}

/** A request that must succeed. */
async function done(method, path, body) {
  const { status, body: answer } = await server.ask(method, path, body);
  assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(answer)}`);
  return answer;
}

async function choose(page, label, name) {
  const box = page.getByRole("combobox", { name: label, exact: true });
  await box.click();
  await box.fill(name);
  await page
    .getByRole("option", { name: new RegExp(`^${name}`) })
    .first()
    .click();
}

test("a worker is tried: text in, answer out, with its wait, duration, tokens and cost", async (t) => {
  const { page, open } = await tab(t);
  await open("/try");
  await choose(page, "Worker", "summarizer");
  await page.getByRole("textbox", { name: /^Text/ }).fill("The reading room needs light. The light needs windows.");
  await page.getByRole("button", { name: "Submit" }).click();
  const answer = page.locator("section", { has: page.getByRole("heading", { name: "summarizer" }) });
  await answer.getByText("succeeded").waitFor();
  await answer.getByText("The room needs light.").waitFor();
  await answer.getByText("900 / 300").waitFor();
  const figures = await answer.locator("dl").textContent();
  for (const name of ["Waited", "Worked", "Attempts", "Tokens", "Cost"]) assert.match(figures, new RegExp(name));
  assert.match(figures, /\$0\.000/);
  await page.getByRole("button", { name: "Copy as" }).click();
  for (const [name, part] of [
    ["curl", "/api/v1/tasks?wait_ms="],
    ["CLI", "kapelle submit summarizer --input"],
    ["Python", 'client.tasks.submit("summarizer"'],
    ["TypeScript", 'await client.tasks.submit("summarizer"'],
  ]) {
    await page.getByRole("tab", { name }).click();
    await page.getByText(part).waitFor();
  }
});

test("what the model writes is shown while it writes", async (t) => {
  const { page, open } = await tab(t);
  models.state.hold = true;
  t.after(() => models.release());
  await open("/try?worker=summarizer");
  await page.getByRole("textbox", { name: /^Text/ }).fill("The reading room needs light, said somebody.");
  await page.getByRole("button", { name: "Submit" }).click();
  const answer = page.locator("section", { has: page.getByRole("heading", { name: "summarizer" }) });
  await answer.getByText("running").waitFor();
  await answer.getByText("The room").waitFor();
  models.release();
  await answer.getByText("succeeded").waitFor();
});

test("one text goes to two workers side by side, and what is wrong is said before it is sent", async (t) => {
  const { page, open } = await tab(t);
  await open("/try?worker=keywords&second=language");
  await page.getByRole("button", { name: "Ask both" }).click();
  await page.getByText("This is needed.").waitFor();
  await page.getByRole("button", { name: "Sample text" }).click();
  await page.getByRole("button", { name: "Ask both" }).click();
  await page.getByRole("heading", { name: "keywords" }).waitFor();
  await page.getByRole("heading", { name: "language" }).waitFor();
  await page.getByText("succeeded").nth(1).waitFor();
  await page.getByText("English").first().waitFor();
});

test("a text comes from a file, and hostile text is text on every page", async (t) => {
  const { page, open } = await tab(t);
  await open("/try?worker=echo");
  await page
    .getByLabel(/Text from a file/)
    .setInputFiles({ name: "harm.txt", mimeType: "text/plain", buffer: Buffer.from(HOSTILE) });
  await page.getByRole("button", { name: "Submit" }).click();
  const answer = page.locator("section", { has: page.getByRole("heading", { name: "echo" }) });
  await answer.getByText("<script>window.harmed=1</script>").waitFor();
  await answer.getByText("\\u{202e}").waitFor();
  await done("POST", "/api/v1/queues/ml/pause", { reason: HOSTILE });
  t.after(() => done("POST", "/api/v1/queues/ml/resume", {}));
  await done("POST", "/api/v1/keys", { name: HOSTILE.slice(0, 60), role: "viewer" });
  for (const path of ["/queues?queue=ml", "/access", "/access?view=audit", "/monitor", "/inbox"]) await open(path);
  assert.equal(await page.evaluate(() => window.harmed), undefined);
});

test("the monitor names the bottleneck and what lifts it, and follows when it is lifted", async (t) => {
  const { page, open } = await tab(t);
  await done("POST", "/api/v1/queues/ml/pause", { reason: "another model" });
  const { id } = await done("POST", "/api/v1/tasks", { worker: "log", queue: "ml", input: { message: "m" } });
  await open("/monitor");
  const sentence = page.getByRole("region", { name: "The bottleneck" });
  await sentence.getByText("The queue ml is paused and 1 task waits in it").waitFor();
  await sentence.getByRole("link", { name: "Resume" }).click();
  await page.getByRole("heading", { name: "Lanes of ml" }).waitFor();
  await page.getByText("queue `ml` is paused").first().waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await done("GET", `/api/v1/tasks/${id}?wait_ms=10000`);
  await open("/monitor");
  await sentence.getByText("The queue ml is paused").waitFor({ state: "detached" });
  await page.getByRole("tab", { name: "24 h" }).click();
  assert.match(page.url(), /range=24h/);
});

test("an approval is answered on a phone", async (t) => {
  const { page, open } = await tab(t, { width: 360, height: 780 });
  const run = await server.run(ASKS, {}, false);
  await open("/inbox");
  const gate = page.getByRole("article", { name: /Approval/ }).filter({ hasText: run });
  await gate.getByText("Send the report?").waitFor();
  const button = await gate.getByRole("button", { name: "Approve" }).boundingBox();
  assert.ok(button.height >= 40, `the button is ${button.height} px high`);
  await gate.getByRole("button", { name: "Approve" }).click();
  await page.getByLabel("Comment").fill("Looks right");
  await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
  await gate.waitFor({ state: "detached" });
  const ended = await done("GET", `/api/v1/runs/${run}?wait_ms=10000`);
  assert.equal(ended.state, "succeeded");
});

test("a parked task names its budget, and goes on when that is raised", async (t) => {
  const { page, open } = await tab(t);
  const limit = (limit_nanousd) => done("POST", "/api/v1/budgets", { account: "worker:summarizer", limit_nanousd });
  await limit(1_000);
  t.after(() => limit(1_000_000_000));
  const { id } = await done("POST", "/api/v1/tasks", { worker: "summarizer", input: { text: "Who pays for this?" } });
  await open("/inbox");
  const gate = page.getByRole("article", { name: "Parked: worker:summarizer" });
  await gate.getByText("The budget of worker summarizer").waitFor();
  await open("/spend");
  await page.getByText("parks 1 task").waitFor();
  await open("/inbox");
  await gate.getByRole("button", { name: /^Raise to \$/ }).click();
  const task = await done("GET", `/api/v1/tasks/${id}?wait_ms=15000`);
  assert.equal(task.state, "succeeded");
  await gate.waitFor({ state: "detached" });
});

test("a new worker is there in seconds, its log is live, and it is restarted", async (t) => {
  const { page, open } = await tab(t);
  await open("/workers?view=scripts");
  const file = join(server.folder, "workers/ticker.py");
  const began = performance.now();
  writeFileSync(file, TICKS("tick of the first"));
  t.after(() => rmSync(file, { force: true }));
  const link = page.getByRole("link", { name: "ticker" });
  await link.waitFor();
  within(t, "a new script is on the page after", performance.now() - began, 2_000);
  await link.click();
  const log = page.getByRole("log");
  await log.getByText("tick of the first").first().waitFor();
  await page.getByRole("button", { name: "Restart", exact: true }).click();
  await page.getByText("ticker is restarted").waitFor();
  await page.getByText("by hand, in the console").first().waitFor();
  await page.getByLabel("Lines with").fill("no such line");
  await page.getByText(/^0 of/).waitFor();
});

test("what a script writes and fails with is text, in its log and its task, as is the question of an approval", async (t) => {
  const { page, open } = await tab(t);
  const file = join(server.folder, "workers/harm.py");
  writeFileSync(file, HARM);
  t.after(() => rmSync(file, { force: true }));
  await open("/workers?view=scripts");
  await page.getByRole("link", { name: "harm" }).waitFor();
  const task = await done("POST", "/api/v1/tasks?wait_ms=15000", {
    worker: "harm",
    input: { text: HOSTILE },
    retry: { max_attempts: 1 },
  });
  assert.equal(task.state, "failed");
  const asks = await server.run(ASKS.replace('"Send the report?"', JSON.stringify(HOSTILE)), {}, false);
  const shows = [`/tasks/${task.id}`, "/workers/harm", "/inbox"];
  for (const path of [...shows, `/runs/${asks}?step=approve`, "/dead", "/tasks", "/monitor"]) {
    await open(path);
    const text = page.getByText("<script>window.harmed=1</script>").first();
    if (shows.includes(path)) await text.waitFor().catch(() => assert.fail(`${path} does not show the text`));
    const shown = await page.locator("main").textContent();
    assert.ok(!shown.includes("\u001b") && !shown.includes("\u202e"), `${path}: control characters are written out`);
  }
  assert.equal(await page.evaluate(() => window.harmed), undefined);
  await server.ask("POST", `/api/v1/runs/${asks}/cancel`, {});
});

test("a script that cannot start says why, with the command that mends it", async (t) => {
  const { page, open } = await tab(t);
  const file = join(server.folder, "workers/broken.py");
  writeFileSync(file, "# ---\n# mode: task\n# ---\nimport openai\nimport no_such_package_of_the_test\n");
  t.after(() => rmSync(file, { force: true }));
  await open("/workers?view=scripts");
  const row = page.getByRole("row", { name: /broken/ });
  await row.getByText("cannot start").waitFor({ timeout: 10_000 });
  await row
    .getByText(/pip install/)
    .first()
    .waitFor();
});

test("dead letters are grouped, counted first, retried and discarded", async (t) => {
  const { page, open } = await tab(t);
  models.state.answer = '{"nothing": 1}';
  t.after(() => {
    models.state.answer = SUMMARY;
  });
  for (const text of ["one", "two"]) {
    const task = await done("POST", "/api/v1/tasks?wait_ms=15000", {
      worker: "summarizer",
      input: { text },
      retry: { max_attempts: 1 },
    });
    assert.equal(task.state, "failed");
  }
  models.state.answer = SUMMARY;
  await open("/dead");
  const row = page.getByRole("row", { name: /summarizer/ });
  await row.getByRole("cell", { name: "2", exact: true }).waitFor();
  await row.getByText("summarizer: invalid output").click();
  await page
    .getByText(/replayed for \$0|fresh call/)
    .first()
    .waitFor();
  await page
    .getByRole("checkbox", { name: /^Mark task_/ })
    .first()
    .click();
  await page.getByRole("button", { name: "Discard 1 marked" }).click();
  await page.getByText("1 task matches").waitFor();
  await page.getByRole("button", { name: "Discard 1", exact: true }).click();
  await row.getByRole("cell", { name: "1", exact: true }).waitFor();
  await row.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("button", { name: "Retry 1", exact: true }).click();
  await page.getByText("Retry dead letters: 1 task done").waitFor();
});

test("spending is drilled from the worker to one call, and the books balance", async (t) => {
  const { page, open } = await tab(t);
  await done("POST", "/api/v1/tasks?wait_ms=15000", { worker: "summarizer", input: { text: "What does it cost?" } });
  await open("/spend");
  await page.getByText("The books balance").waitFor();
  const chart = page.getByRole("figure");
  await chart.getByText("The last 30 days").waitFor();
  await chart.getByRole("img").press("End");
  await chart.getByRole("link", { name: "See its calls" }).waitFor();
  await chart.getByRole("img").press("Escape");
  await page.getByRole("tab", { name: "Tokens" }).click();
  await chart.getByText("summarizer").waitFor();
  await page.getByRole("tab", { name: "24 h" }).click();
  await chart.getByText("The last 24 hours").waitFor();
  await page.getByRole("tab", { name: "Task", exact: true }).click();
  await page.getByRole("row", { name: /task_/ }).first().getByRole("link").click();
  await page.getByRole("heading", { name: "Calls" }).waitFor();
  await page.getByRole("row", { name: /gpt/ }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Reserved").waitFor();
  await dialog.getByText("900 sent, 300 received").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("a key is made, shown once, and revoked; the act is in the audit trail", async (t) => {
  const { page, open } = await tab(t);
  await open("/access");
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByLabel("Name").fill("board");
  await page.getByLabel("Role").selectOption("worker");
  await page.getByLabel("May also submit tasks").check();
  await page.getByLabel("Role").selectOption("viewer");
  assert.equal(await page.getByLabel("May also submit tasks").count(), 0);
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("This is the only time that it is shown").waitFor();
  const secret = (await page.getByRole("dialog").textContent()).match(/kap_[0-9a-f]+/)?.[0];
  assert.ok(secret, "the secret is shown");
  assert.equal((await server.ask("GET", "/api/v1/me", undefined, secret)).body.role, "viewer");
  await page.getByRole("button", { name: "I have it" }).click();
  const row = page.getByRole("row", { name: /board/ });
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal((await server.ask("GET", "/api/v1/me", undefined, secret)).status, 401);
  await open("/access?view=audit");
  await page.getByText("key.revoke").first().waitFor();
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("The trail is whole").waitFor();
});

test("a key of a host that may submit is made in the console, and submits", async (t) => {
  const { page, open } = await tab(t);
  await open("/access");
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByLabel("Name").fill("station");
  await page.getByLabel("Role").selectOption("worker");
  await page.getByLabel("May also submit tasks").check();
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("This is the only time that it is shown").waitFor();
  const secret = (await page.getByRole("dialog").textContent()).match(/kap_[0-9a-f]+/)?.[0];
  const sent = await server.ask("POST", "/api/v1/tasks", { worker: "log", input: { message: "m" } }, secret);
  assert.equal(sent.status, 201, JSON.stringify(sent.body));
  await page.getByRole("button", { name: "I have it" }).click();
  await page
    .getByRole("row", { name: /station/ })
    .getByText("may submit")
    .waitFor();
});

test("a viewer is told which role may, on every page", async (t) => {
  const { secret } = await done("POST", "/api/v1/keys", { name: "sees", role: "viewer" });
  const { page, open } = await tab(t, { key: secret });
  for (const [path, words] of [
    ["/try", "may not submit tasks"],
    ["/queues", "may not pause queues"],
    ["/workers", "may not restart or scale"],
    ["/dead", "may not retry or discard"],
    ["/spend", "may not set budgets"],
    ["/access", "may not see keys"],
    ["/access?view=audit", "may not read the audit trail"],
  ]) {
    await open(path);
    await page.getByText(words).first().waitFor();
  }
  await open("/queues");
  assert.equal(await page.getByRole("button", { name: "Pause", exact: true }).count(), 0);
});
