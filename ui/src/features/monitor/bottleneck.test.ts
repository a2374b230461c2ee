import { expect, test } from "vitest";
import type { AllCounts, System } from "../../api/paths";
import { bottleneck, type Facts, verdicts } from "./bottleneck";

const counts = (more: Partial<AllCounts> = {}): AllCounts => ({
  runs: { open: 0, paused: 0 },
  tasks: {},
  dead: 0,
  parked: 0,
  approvals: 0,
  workers: { busy: 0, idle: 0, absent: 0 },
  hosts: 0,
  scripts: {},
  slots: { busy: 0, all: 8 },
  paused: [],
  unserved: [],
  today: { spent_nanousd: 0, calls: 0, input_tokens: 0, output_tokens: 0 },
  ...more,
});
const facts = (more: Partial<Facts> = {}): Facts => ({
  counts: counts(),
  queues: [],
  system: null,
  aliases: [],
  ...more,
});
const queue = (name: string, more: object = {}) => ({
  name,
  slots: 2,
  paused: false,
  ready: 0,
  running: 0,
  waiting: 0,
  listeners: 1,
  tasks: {},
  ...more,
});
const system = (cpu: number): System =>
  ({ cpus: 2, process: {}, machine: { cpu }, disk: { folder: "", database_bytes: 0, history_bytes: 0 } }) as never;

test("an idle server is told apart from one that keeps up", () => {
  expect(bottleneck(facts())?.what).toBe("Nothing is asked of the server");
  const busy = facts({ counts: counts({ tasks: { running: 3 }, slots: { busy: 3, all: 8 } }) });
  expect(bottleneck(busy)).toMatchObject({ tone: "good", what: "Nothing holds work up" });
  expect(bottleneck(facts({ counts: null }))).toBeNull();
});

test("full slots lead to more slots, or on a full processor to another machine", () => {
  const full = [queue("ml", { ready: 5, running: 2 }), queue("default", { ready: 1 })];
  expect(bottleneck(facts({ queues: full, system: system(0.4) }))).toMatchObject({
    what: "All 2 slots of the queue ml are busy, and 5 tasks wait for one",
    lift: "The processor is at 20 %: raise queues.ml.slots in the configuration.",
  });
  expect(bottleneck(facts({ queues: full, system: system(1.9) }))?.lift).toContain("join a host on another machine");
});

test("what nobody serves comes before everything else", () => {
  const unserved = [
    {
      queue: "gpu",
      worker: "embed",
      tasks: 1,
      why: "no worker listens",
      waiting: { for: "listener" as const, queue: "gpu", worker: "embed" },
    },
  ];
  const all = verdicts(
    facts({
      counts: counts({ unserved, parked: 2, approvals: 1, paused: [{ kind: "queue", name: "ml" }] }),
      queues: [queue("ml", { paused: true, ready: 3 })],
    }),
  );
  expect(all.map((one) => one.tone)).toEqual(["bad", "warn", "park", "warn"]);
  expect(all[1]?.what).toBe("The queue ml is paused and 3 tasks wait in it");
});

test("a paused queue without tasks holds nothing up", () => {
  const paused = facts({ counts: counts({ paused: [{ kind: "queue", name: "ml" }] }), queues: [queue("ml")] });
  expect(verdicts(paused)).toEqual([]);
});
