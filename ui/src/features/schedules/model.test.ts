import { expect, test } from "vitest";
import {
  bodyOf,
  clockOf,
  createCli,
  createRecipe,
  draftFaults,
  draftOf,
  empty,
  inputFaults,
  later,
  standing,
  until,
} from "./model";

test("a draft becomes the body and the line that make it", () => {
  const draft = { ...empty("Europe/Berlin"), name: " nightly ", target: "report", with: { day: "${{ fire.date }}" } };
  const body = bodyOf(draft, false);
  expect(body).toEqual({
    name: "nightly",
    cron: "30 2 * * *",
    timezone: "Europe/Berlin",
    workflow: "report",
    with: { day: "${{ fire.date }}" },
    catch_up: "skip",
    overlap: "skip",
    jitter_ms: 0,
  });
  expect(createCli(body)).toBe(
    `schedules create nightly --cron '30 2 * * *' --timezone Europe/Berlin --workflow report --input '{"day":"\${{ fire.date }}"}'`,
  );
  const worker = bodyOf({ ...draft, kind: "worker", target: "log", with: {}, jitter: "1.5", overlap: "queue" }, true);
  expect(worker).toMatchObject({ worker: "log", jitter_ms: 1_500, replace: true });
  expect(worker.workflow).toBeUndefined();
  expect(createCli({ ...worker, timezone: "UTC" })).toBe(
    "schedules create nightly --cron '30 2 * * *' --worker log --overlap queue --jitter 1500ms --replace",
  );
  expect(bodyOf(draftOf(worker), true)).toEqual(worker);
  const recipe = createRecipe(worker);
  expect(recipe.python).toBe(
    'print(client.schedules.create("nightly", "30 2 * * *", worker="log", inputs={}, timezone="Europe/Berlin", overlap="queue", jitter=1.5, replace=True))',
  );
  expect(recipe.typescript).toBe(
    'console.log(await client.schedules.create("nightly", "30 2 * * *", { worker: "log", inputs: {}, timezone: "Europe/Berlin", overlap: "queue", jitterMs: 1500, replace: true }));',
  );
});

test("what is missing or out of bounds is said before anything is sent", () => {
  expect(draftFaults({ ...empty("UTC"), jitter: "3601" })).toEqual({
    name: "This is needed.",
    target: "This is needed.",
    jitter: "Expected 0 to 3,600 seconds.",
  });
  expect(draftFaults({ ...empty("UTC"), name: "a", target: "b", jitter: "x" }).jitter).toBeDefined();
  const schema = {
    type: "object",
    required: ["n", "t"],
    properties: { n: { type: "integer" }, t: { type: "string" } },
  };
  expect(inputFaults(schema, { n: "${{ fire.date }}" })).toEqual({ t: "This is needed." });
  expect(inputFaults(schema, { n: "x", t: "y" })).toEqual({ n: "This is not a number." });
  expect(inputFaults(undefined, 1)).toEqual({});
});

test("times are read on the clock of their zone, a day is named once", () => {
  expect(clockOf("2026-12-03T02:30:00+01:00")).toEqual({ day: "3 Dec", clock: "02:30", offset: "UTC+01:00" });
  expect(clockOf("2026-12-03T02:30:10Z")).toEqual({ day: "3 Dec", clock: "02:30:10", offset: "UTC" });
  expect(clockOf("soon")).toBeNull();
  const times = ["2026-12-31T23:30:00Z", "2026-12-31T23:45:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:15:00Z"];
  expect(later(times)).toBe("23:45, 1 Jan 00:00, 00:15");
  expect(later([])).toBe("");
});

test("the distance to a time has one unit that is not too coarse", () => {
  expect([500, 40_000, 119_000, 150_000, 7_300_000, 200_000_000].map(until)).toEqual([
    "now",
    "in 40 s",
    "in 119 s",
    "in 2 min",
    "in 2 h",
    "in 2 d",
  ]);
});

test("a schedule is on, paused, or never comes again", () => {
  expect(standing({ paused: true, next: [] }).word).toBe("paused");
  expect(standing({ paused: false, next: [] }).word).toBe("never again");
  expect(standing({ paused: false, next: ["2026-12-01T00:00:00Z"] }).word).toBe("on");
});
