// Lanes of a queue: its open tasks by worker and key, with what they wait for. Pure.
import type { Alias, Task } from "../../api/paths";

export type Lane = {
  worker: string;
  key?: string;
  states: Partial<Record<string, number>>;
  waiting: number;
  /** The moment since when the longest waiting task waits. */
  oldest: string | null;
  /** Reasons with the number of tasks that have them, the most frequent first. */
  reasons: { why: string; tasks: number; for?: string }[];
};

const IDLE = new Set(["ready", "scheduled", "retrying", "held", "parked"]);

/** Tasks as lanes; the one that waits longest comes first. */
export function lanes(tasks: readonly Task[]): Lane[] {
  type Known = Lane & { why: Map<string, { tasks: number; for?: string }> };
  const all = new Map<string, Known>();
  for (const task of tasks) {
    const name = `${task.worker}\n${task.key ?? ""}`;
    const lane: Known = all.get(name) ?? {
      worker: task.worker,
      ...(task.key ? { key: task.key } : {}),
      states: {},
      waiting: 0,
      oldest: null,
      reasons: [],
      why: new Map(),
    };
    all.set(name, lane);
    lane.states[task.state] = (lane.states[task.state] ?? 0) + 1;
    if (!IDLE.has(task.state)) continue;
    lane.waiting += 1;
    const since = task.ready_at ?? task.created_at;
    if (lane.oldest === null || since < lane.oldest) lane.oldest = since;
    const why = task.reason ?? (task.state === "ready" ? "waits for a free slot" : task.state);
    const known = lane.why.get(why);
    if (known) known.tasks += 1;
    else lane.why.set(why, { tasks: 1, ...(task.waiting ? { for: task.waiting.for } : {}) });
  }
  return [...all.values()]
    .map(({ why, ...lane }) => ({
      ...lane,
      reasons: [...why].map(([text, one]) => ({ why: text, ...one })).sort((a, b) => b.tasks - a.tasks),
    }))
    .sort((a, b) => (a.oldest ?? "~").localeCompare(b.oldest ?? "~"));
}

/** Providers whose rate limit holds calls up now, with the longest wait. */
export function limited(aliases: readonly Alias[]): { provider: string; ms: number }[] {
  const waits = new Map<string, number>();
  for (const alias of aliases) {
    if (!alias.limited_by || !alias.rate_wait_ms) continue;
    waits.set(alias.limited_by, Math.max(waits.get(alias.limited_by) ?? 0, alias.rate_wait_ms));
  }
  return [...waits].map(([provider, ms]) => ({ provider, ms })).sort((a, b) => b.ms - a.ms);
}
