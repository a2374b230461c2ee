import { expect, test } from "vitest";
import type { Task } from "../../api/paths";
import { lanes, limited } from "./model";

const task = (more: Partial<Task>): Task =>
  ({ id: "task_1", worker: "a", queue: "q", state: "ready", created_at: "2026-11-30T10:00:00Z", ...more }) as Task;

test("lanes are by worker and key, the longest wait first", () => {
  const found = lanes([
    task({ worker: "b", ready_at: "2026-11-30T09:00:00Z", reason: "queue ml is paused" }),
    task({ reason: "waits for a free slot" }),
    task({ created_at: "2026-11-30T08:00:00Z", ready_at: "2026-11-30T09:30:00Z" }),
    task({ state: "running", created_at: "2026-11-30T01:00:00Z" }),
    task({ key: "customer-7" }),
  ]);
  expect(found.map((lane) => [lane.worker, lane.key, lane.waiting, lane.oldest])).toEqual([
    ["b", undefined, 1, "2026-11-30T09:00:00Z"],
    ["a", undefined, 2, "2026-11-30T09:30:00Z"],
    ["a", "customer-7", 1, "2026-11-30T10:00:00Z"],
  ]);
  expect(found[1]?.states).toEqual({ ready: 2, running: 1 });
  expect(found[1]?.reasons).toEqual([{ why: "waits for a free slot", tasks: 2 }]);
});

test("the longest wait of each provider is told", () => {
  const alias = { name: "m", live: true, links: [] };
  expect(
    limited([
      { ...alias, limited_by: "openai", rate_wait_ms: 500 },
      { ...alias, limited_by: "openai", rate_wait_ms: 2_000 },
      alias,
    ]),
  ).toEqual([{ provider: "openai", ms: 2_000 }]);
});
