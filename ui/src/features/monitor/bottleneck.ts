// The one sentence of the page Monitor: what holds work up, and what lifts it. Pure.
import type { Alias, AllCounts, Schema, System } from "../../api/paths";
import { count, duration, many, percent } from "../../kit/format";
import { diskShare } from "../system/model";

export type Facts = {
  counts: AllCounts | null;
  queues: readonly Schema<"Queue">[];
  system: System | null;
  aliases: readonly Alias[];
};

export type Verdict = {
  tone: "bad" | "warn" | "park" | "good" | "calm";
  /** What holds work up. */
  what: string;
  /** What lifts it. */
  lift: string;
  link?: { to: string; words: string; search?: Record<string, string> };
};

const FULL = 0.85;

function processor(system: System | null): number | null {
  if (!system || system.cpus === 0) return null;
  const used = system.machine.cpu ?? system.process.cpu;
  return used == null ? null : used / system.cpus;
}

function waitOf(number: number): string {
  return number === 1 ? "waits" : "wait";
}

/** What lifts tasks that nobody takes, by what they wait for. */
function liftOf(waiting: AllCounts["unserved"][number]["waiting"]): Pick<Verdict, "lift" | "link"> {
  switch (waiting?.for) {
    case "labels":
      return {
        lift: "Join a host that has the label: kapelle host --label NAME.",
        link: { to: "/workers", words: "See the hosts", search: { view: "hosts" } },
      };
    case "script":
      return {
        lift: "Mend its script.",
        link: { to: "/workers", words: "See the scripts", search: { view: "scripts" } },
      };
    default:
      return {
        lift: "Start the script or a host that serves it.",
        link: { to: "/workers", words: "See the workers" },
      };
  }
}

function unserved({ counts }: Facts): Verdict[] {
  // Those of a paused queue are told by the pause.
  const lanes = counts?.unserved.filter((one) => one.waiting?.for !== "paused") ?? [];
  return lanes.map((one) => ({
    tone: "bad",
    what: `Nothing takes ${many(one.tasks, "task")} of ${one.worker} in the queue ${one.queue}: ${one.why}`,
    ...liftOf(one.waiting),
  }));
}

function paused({ counts, queues }: Facts): Verdict[] {
  return (counts?.paused ?? []).flatMap((one): Verdict[] => {
    const waiting = queues.find((queue) => queue.name === one.name)?.ready ?? 0;
    if (one.kind === "queue" && waiting === 0) return [];
    const tasks = one.kind === "queue" ? ` and ${many(waiting, "task")} ${waitOf(waiting)} in it` : "";
    return [
      {
        tone: "warn",
        what: `The ${one.kind} ${one.name} is paused${tasks}`,
        lift: "Resume it.",
        link:
          one.kind === "queue"
            ? { to: "/queues", words: "Resume", search: { queue: one.name } }
            : { to: `/workers/${encodeURIComponent(one.name)}`, words: "Resume" },
      },
    ];
  });
}

function money({ counts }: Facts): Verdict[] {
  if (!counts?.parked) return [];
  return [
    {
      tone: "park",
      what: `${many(counts.parked, "task")} ${waitOf(counts.parked)} for money`,
      lift: "Raise the budget that stops them.",
      link: { to: "/inbox", words: "Raise it" },
    },
  ];
}

function slots({ queues, system }: Facts): Verdict[] {
  const full = queues
    .filter((queue) => !queue.paused && queue.ready > 0 && queue.slots > 0 && queue.running >= queue.slots)
    .toSorted((a, b) => b.ready - a.ready);
  const first = full[0];
  if (!first) return [];
  const used = processor(system);
  const busy = used !== null && used >= FULL;
  return [
    {
      tone: "warn",
      what: `All ${count(first.slots)} slots of the queue ${first.name} are busy, and ${many(first.ready, "task")} ${waitOf(first.ready)} for one`,
      lift: busy
        ? `The processor is at ${percent(used)}, so more slots here would not help: join a host on another machine.`
        : `The processor is ${used === null ? "not known to be full" : `at ${percent(used)}`}: raise queues.${first.name}.slots in the configuration.`,
      link: { to: "/queues", words: "See its lanes", search: { queue: first.name } },
    },
  ];
}

function rates({ aliases }: Facts): Verdict[] {
  const held = aliases
    .filter((one) => one.limited_by && (one.rate_wait_ms ?? 0) >= 1_000)
    .toSorted((a, b) => (b.rate_wait_ms ?? 0) - (a.rate_wait_ms ?? 0))[0];
  if (!held) return [];
  return [
    {
      tone: "warn",
      what: `The rate limit of ${held.limited_by} holds calls up; the next one goes in ${duration(held.rate_wait_ms)}`,
      lift: "Give the name another model as its next link, or ask the provider for a higher limit.",
      link: { to: "/system", words: "See the models" },
    },
  ];
}

function machine({ system }: Facts): Verdict[] {
  const found: Verdict[] = [];
  const used = processor(system);
  if (used !== null && used >= FULL) {
    found.push({
      tone: "warn",
      what: `The processor is at ${percent(used)}`,
      lift: "Join a host on another machine, or give work fewer slots here.",
      link: { to: "/system", words: "See the machine" },
    });
  }
  const full = system ? diskShare(system.disk) : null;
  if (full !== null && full > 0.95) {
    found.push({
      tone: "bad",
      what: `The disk is ${percent(full)} full`,
      lift: "Free some of it: without room nothing can be recorded, and the server stops taking work.",
      link: { to: "/system", words: "See the disk" },
    });
  }
  return found;
}

function people({ counts }: Facts): Verdict[] {
  if (!counts?.approvals) return [];
  return [
    {
      tone: "warn",
      what: `${many(counts.approvals, "step")} ${waitOf(counts.approvals)} for a person`,
      lift: "Answer.",
      link: { to: "/inbox", words: "Answer" },
    },
  ];
}

/** Everything that holds work up, the gravest first. */
export function verdicts(facts: Facts): Verdict[] {
  const rules = [unserved, paused, money, rates, slots, machine, people];
  return rules.flatMap((rule) => rule(facts));
}

/** The bottleneck in one sentence. Null while nothing is known. */
export function bottleneck(facts: Facts): Verdict | null {
  if (!facts.counts) return null;
  const first = verdicts(facts)[0];
  if (first) return first;
  const { slots: room, tasks, runs } = facts.counts;
  const running = tasks.running ?? 0;
  if (running === 0 && runs.open === 0) {
    return {
      tone: "calm",
      what: "Nothing is asked of the server",
      lift: `All ${many(room.all, "slot")} are free.`,
      link: { to: "/try", words: "Try a task" },
    };
  }
  return {
    tone: "good",
    what: "Nothing holds work up",
    lift: `${count(room.busy)} of ${many(room.all, "slot")} are in use, and no task waits for one.`,
  };
}
