// Schedules in the console: made with a form, fired by hand once, paused with a reason, backfilled after a dry run, changed,
// deleted. On the real program.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { blemishes, browser, serve, sideways, signedIn } from "./bed.mjs";

const REPORT = `name: report
inputs:
  type: object
  required: [day, pages]
  properties:
    day: { type: string, description: The day that it is about }
    pages: { type: integer, default: 2 }
steps:
  write: { worker: log, with: { message: "\${{ inputs.day }}" } }
`;

let server, chrome;

before(async () => {
  server = await serve({ files: { "workflows/report.yaml": REPORT } });
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await server?.stop();
});

async function tab(t, options = {}) {
  const made = await signedIn(chrome, server, options);
  made.page.setDefaultTimeout(12_000);
  t.after(async () => {
    await made.close();
    assert.deepEqual(made.faults, []);
  });
  return made;
}

async function choose(page, label, name) {
  const box = page.getByRole("combobox", { name: label, exact: true });
  await box.click();
  await box.fill(name);
  await page.getByRole("option", { name }).first().click();
}

const schedule = async (name) => (await server.ask("GET", `/api/v1/schedules/${name}`)).body;

test("a schedule is made with a form, and says when it comes next", async (t) => {
  const { page, open } = await tab(t);
  await open("/schedules");
  await page.getByText("No schedules yet").waitFor();
  await page.getByRole("button", { name: "Make a schedule" }).click();
  const dialog = page.getByRole("dialog", { name: "Make a schedule" });
  const make = dialog.getByRole("button", { name: "Make it" });
  assert.ok(await make.isDisabled(), "nothing is given yet");
  await dialog.getByRole("textbox", { name: /^Name/ }).fill("nightly");
  await dialog.getByRole("textbox", { name: /^Times/ }).fill("61 2 * * *");
  await choose(page, "Time zone", "Europe/Berlin");
  await choose(page, "Workflow", "report");
  await dialog.getByText("This is needed.").waitFor();
  await dialog.getByRole("textbox", { name: /^Day/ }).fill("${{ fire.date }}");
  await make.click();
  await dialog.getByText("`61` is not a minute").waitFor();
  await dialog.getByRole("button", { name: "Each night, 02:30" }).click();
  await dialog.getByRole("button", { name: "Copy as" }).click();
  for (const [name, part] of [
    ["curl", '-d \'{"name":"nightly"'],
    ["CLI", "kapelle schedules create nightly --cron '30 2 * * *' --timezone Europe/Berlin --workflow report"],
    ["Python", 'client.schedules.create("nightly", "30 2 * * *", workflow="report"'],
    ["TypeScript", 'await client.schedules.create("nightly"'],
  ]) {
    await page.getByRole("tab", { name, exact: true }).click();
    await page.getByText(part).waitFor();
  }
  await page.keyboard.press("Escape");
  await make.click();
  await page.getByRole("heading", { name: "nightly" }).waitFor();
  const times = page
    .locator("section", { has: page.getByRole("heading", { name: "Next times" }) })
    .getByRole("listitem");
  assert.equal(await times.count(), 5);
  assert.match(await times.first().textContent(), /02:30 UTC\+0[12]:00 in /);
  const made = await schedule("nightly");
  assert.deepEqual(made.with, { day: "${{ fire.date }}", pages: 2 });
});

test("it is fired once by hand, paused with a reason, and says why a time started nothing", async (t) => {
  const { page, open } = await tab(t);
  await open("/schedules/nightly");
  const asked = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/fire")) asked.push(request.headers()["idempotency-key"]);
  });
  await page.getByRole("button", { name: "Fire now" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Fire now" }).click();
  await page.getByRole("table", { name: "Last fires" }).getByRole("link", { name: /^run_/ }).waitFor();
  assert.equal(asked.length, 1);
  const again = await fetch(`${server.url}/api/v1/schedules/nightly/fire`, {
    method: "POST",
    headers: { authorization: `Bearer ${server.token}`, "idempotency-key": asked[0] },
  });
  assert.equal(again.status, 200);
  assert.equal((await schedule("nightly")).fires.length, 1, "one key fires once");

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Reason" }).fill("the source is moved");
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await page.getByText("It is paused: the source is moved").waitFor();
  await open("/schedules");
  await page.getByText("nothing while it is paused").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();

  // A run that stays open: the next fire by hand is skipped, and the page says because of which run.
  const source = "name: nap\nsteps:\n  nap: { worker: sleep, with: { ms: 120000 } }\n";
  await server.run(source, {}, false);
  await server.ask("POST", "/api/v1/schedules", { name: "naps", cron: "@yearly", workflow: "nap" });
  const fire = () => server.ask("POST", "/api/v1/schedules/naps/fire");
  const { run } = (await fire()).body;
  await fire();
  await open("/schedules/naps");
  await page.getByText(`skipped, because ${run} was open (overlap: skip)`).waitFor();
  await page.getByLabel("Only those that started nothing (1)").check();
  await page.getByRole("table", { name: "Last fires" }).getByRole("link").waitFor({ state: "detached" });
});

test("a backfill lists its times before it fires them; a schedule is changed and deleted", async (t) => {
  const { page, open } = await tab(t, { width: 360, height: 780 });
  await open("/schedules/nightly");
  assert.equal(await sideways(page), 0);
  await page.getByRole("button", { name: "Backfill" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "From" }).fill("2026-03-03T00:00:00Z");
  await dialog.getByRole("textbox", { name: "To" }).fill("2026-03-01T00:00:00Z");
  await dialog.getByRole("button", { name: "List the times" }).click();
  await dialog.getByText("later than `to`").waitFor();
  await dialog.getByRole("textbox", { name: "From" }).fill("2026-02-28T00:00:00Z");
  await dialog.getByRole("button", { name: "List the times" }).click();
  await dialog.getByText("28 Feb 02:30 UTC+01:00").waitFor();
  assert.deepEqual(await blemishes(page), []);
  const before = (await schedule("nightly")).fires.length;
  assert.equal(before, 1, "nothing was fired by the dry run");
  await dialog.getByRole("button", { name: "Fire 1 time" }).click();
  await page.getByText("Backfill: 1 time fired").waitFor();
  assert.equal((await schedule("nightly")).fires.length, before + 1);

  await page.getByRole("button", { name: "Change" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Every 15 min" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  const changed = await schedule("nightly");
  assert.deepEqual([changed.cron, changed.timezone, changed.fires.length], ["15m", "Europe/Berlin", before + 1]);

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Schedules" }).waitFor();
  assert.equal((await server.ask("GET", "/api/v1/schedules/nightly")).status, 404);
});

test("a viewer sees schedules and no button that changes one", async (t) => {
  const key = await server.ask("POST", "/api/v1/keys", { name: "guest", role: "viewer" });
  const { page, open } = await tab(t, { key: key.body.secret });
  await open("/schedules/naps");
  await page.getByText("Your role viewer may not change or fire schedules").waitFor();
  for (const name of ["Fire now", "Pause", "Change", "Delete", "Backfill"])
    assert.equal(await page.getByRole("button", { name }).count(), 0, name);
  const refused = await server.ask("POST", "/api/v1/schedules/naps/fire", undefined, key.body.secret);
  assert.equal(refused.status, 403);
});
