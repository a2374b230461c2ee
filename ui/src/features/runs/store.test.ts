import { expect, test } from "vitest";
import type { LiveFrame, TaskDelta } from "../../live/frames";
import { countStates, fitted, stateOf } from "./model/heat";
import { grow, type Row } from "./model/tree";
import { asOf } from "./outline";
import { RunStore } from "./store";

const delta = (step: string, state: string, more: Partial<TaskDelta> = {}): TaskDelta => ({
  id: `task_${step}`,
  worker: "w",
  queue: "default",
  state,
  attempt: 1,
  run: "run_1",
  step,
  at: "2026-01-01T00:00:01Z",
  ...more,
});
const frame = (steps: TaskDelta[], more: Partial<LiveFrame> = {}): LiveFrame => ({
  topic: "run:run_1",
  steps,
  ...more,
});

test("frames are folded into rows, and a step keeps what it had", () => {
  const store = new RunStore("run_1");
  let told = 0;
  store.subscribe(() => {
    told += 1;
  });
  store.take([frame([delta("a", "running", { started_at: "2026-01-01T00:00:00Z" }), delta("b", "ready")])]);
  store.take([frame([delta("a", "succeeded", { cost_nanousd: 5, at: "2026-01-01T00:00:03Z" })])]);
  expect(told).toBe(2);
  expect(store.all.map((row) => [row.step, row.state])).toEqual([
    ["a", "succeeded"],
    ["b", "ready"],
  ]);
  const row = store.rows.get("a");
  expect([row?.started_at, row?.ended_at, row?.cost_nanousd]).toEqual([
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:03Z",
    5,
  ]);
  expect(store.take([frame([], { resync: true })])).toBe(true);
});

test("readers of items hear of their holder alone", () => {
  const store = new RunStore("run_1");
  const heard: [number, string][] = [];
  const stop = store.readItems("each", (changes) => heard.push(...changes));
  store.take([frame([delta("each[3]", "running"), delta("other[1]", "running"), delta("each[3].in", "running")])]);
  expect(heard).toEqual([[3, "running"]]);
  stop();
  store.take([frame([delta("each[4]", "running")])]);
  expect(heard.length).toBe(1);
});

test("texts grow by their parts and begin anew at offset 0", () => {
  const store = new RunStore("run_1");
  const text = (offset: number, word: string, ended = false): LiveFrame =>
    frame([], { texts: [{ task: "task_1", step: "a", attempt: 1, part: 0, offset, text: word, ended }] });
  store.take([text(0, "Hel"), text(3, "lo")]);
  expect([...store.texts.values()]).toEqual([{ step: "a", task: "task_1", text: "Hello", ended: false }]);
  store.take([text(0, "Anew", true)]);
  expect([...store.texts.values()][0]?.text).toBe("Anew");
});

test("rows are bounded, however many items come", () => {
  const store = new RunStore("run_1");
  store.take([frame(Array.from({ length: 20_000 }, (_, at) => delta(`each[${at}]`, "succeeded")))]);
  expect(store.rows.size).toBeLessThanOrEqual(4_000);
});

test("a map of items fits into its place, and its counts add up", () => {
  for (const count of [1, 90, 1_000, 10_000, 100_000]) {
    const grid = fitted(count, 900, 150);
    expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
    expect(grid.columns * grid.cell).toBeLessThanOrEqual(900);
    expect(grid.cell).toBeGreaterThanOrEqual(3);
  }
  expect(countStates(new Uint8Array([10, 10, 11, 255, 2]))).toEqual({
    succeeded: 2,
    failed: 1,
    pending: 1,
    running: 1,
  });
  expect(stateOf(77)).toBe("unknown");
});

test("a tree as of a moment knows nothing of what came later", () => {
  const rows = [delta("a", "succeeded"), delta("b.c", "failed")].map((one) => ({ ...one, created_at: one.at }) as Row);
  const [a, b] = grow(undefined, rows, new Map());
  const then = new Map([["a", { state: "running", from: "2026-01-01T00:00:01Z" }]]);
  const moment = Date.parse("2026-01-01T00:00:02Z");
  expect(a && asOf(a, then, moment)).toMatchObject({ state: "running", to: moment });
  expect(b && asOf(b, then, moment)).toMatchObject({ state: "pending", from: null, to: null });
});
