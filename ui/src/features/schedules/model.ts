// Schedules: their times in words, the body and the line of a new one, and why a time started nothing. Pure.
import { choices } from "../../kit/choice";
import { faults, type Schema } from "../../kit/schema";
import { python, type Recipe, shell } from "../../kit/snippets";

/** Times that people often want, as buttons beside the field. */
export const SAMPLES = [
  { name: "Every 15 min", cron: "15m" },
  { name: "Each hour", cron: "@hourly" },
  { name: "Each night, 02:30", cron: "30 2 * * *" },
  { name: "Weekdays, 09:00", cron: "0 9 * * mon-fri" },
  { name: "First of the month", cron: "0 6 1 * *" },
] as const;

export const CATCH_UP = choices({
  skip: "None of them",
  one: "The last one",
  all: "All, at most the last 100",
});
export const OVERLAP = choices({
  skip: "Starts nothing",
  allow: "Starts beside it",
  queue: "Starts when the earlier one has ended",
  cancel_running: "Cancels the earlier one, and starts",
});
export type CatchUp = (typeof CATCH_UP)[number]["id"];
export type Overlap = (typeof OVERLAP)[number]["id"];

export function nameOf<T extends string>(list: readonly { id: T; name: string }[], id: T): string {
  return list.find((one) => one.id === id)?.name ?? id;
}

export type Draft = {
  name: string;
  cron: string;
  timezone: string;
  kind: "workflow" | "worker";
  target: string;
  with: unknown;
  catch_up: CatchUp;
  overlap: Overlap;
  /** Seconds, as they were typed. */
  jitter: string;
};

export type Body = {
  name: string;
  cron: string;
  timezone: string;
  workflow?: string;
  worker?: string;
  with: unknown;
  catch_up: CatchUp;
  overlap: Overlap;
  jitter_ms: number;
  replace?: boolean;
};

/** A draft of nothing, in the zone of the browser. */
export function empty(timezone: string): Draft {
  return {
    name: "",
    cron: "30 2 * * *",
    timezone,
    kind: "workflow",
    target: "",
    with: {},
    catch_up: "skip",
    overlap: "skip",
    jitter: "",
  };
}

type Made = Omit<Body, "workflow" | "worker" | "replace"> & { workflow?: string | null; worker?: string | null };

/** The draft of a schedule that is to be changed. */
export function draftOf(made: Made): Draft {
  return {
    name: made.name,
    cron: made.cron,
    timezone: made.timezone,
    kind: made.workflow ? "workflow" : "worker",
    target: made.workflow ?? made.worker ?? "",
    with: made.with ?? {},
    catch_up: made.catch_up,
    overlap: made.overlap,
    jitter: made.jitter_ms ? String(made.jitter_ms / 1_000) : "",
  };
}

export function bodyOf(draft: Draft, replace: boolean): Body {
  return {
    name: draft.name.trim(),
    cron: draft.cron.trim(),
    timezone: draft.timezone,
    [draft.kind]: draft.target,
    with: draft.with ?? {},
    catch_up: draft.catch_up,
    overlap: draft.overlap,
    jitter_ms: Math.round(Number(draft.jitter || 0) * 1_000),
    ...(replace ? { replace } : {}),
  };
}

/** The line of the command line that makes it. */
export function createCli(body: Body): string {
  const parts = ["schedules create", shell(body.name || "NAME"), `--cron ${shell(body.cron)}`];
  if (body.timezone !== "UTC") parts.push(`--timezone ${shell(body.timezone)}`);
  if (body.workflow) parts.push(`--workflow ${shell(body.workflow)}`);
  if (body.worker) parts.push(`--worker ${shell(body.worker)}`);
  const inputs = JSON.stringify(body.with ?? {});
  if (inputs !== "{}") parts.push(`--input ${shell(inputs)}`);
  if (body.catch_up !== "skip") parts.push(`--catch-up ${body.catch_up}`);
  if (body.overlap !== "skip") parts.push(`--overlap ${body.overlap}`);
  if (body.jitter_ms) parts.push(`--jitter ${body.jitter_ms}ms`);
  if (body.replace) parts.push("--replace");
  return parts.join(" ");
}

/** What makes it, in four languages. */
export function createRecipe(body: Body): Recipe {
  const { name, cron, timezone, workflow, worker, with: inputs, catch_up, overlap, jitter_ms, replace } = body;
  const given = Object.entries({
    workflow,
    worker,
    inputs,
    timezone,
    catch_up: catch_up === "skip" ? undefined : catch_up,
    overlap: overlap === "skip" ? undefined : overlap,
    jitter: jitter_ms ? jitter_ms / 1_000 : undefined,
    replace,
  }).filter(([, value]) => value !== undefined);
  const keywords = given.map(([word, value]) => `, ${word}=${python(value)}`).join("");
  const options = given.map(([word, value]) => {
    if (word === "jitter") return `jitterMs: ${jitter_ms}`;
    return `${word === "catch_up" ? "catchUp" : word}: ${JSON.stringify(value)}`;
  });
  const first = `${JSON.stringify(name)}, ${JSON.stringify(cron)}`;
  return {
    method: "POST",
    path: "/api/v1/schedules",
    body,
    cli: createCli(body),
    python: `print(client.schedules.create(${first}${keywords}))`,
    typescript: `console.log(await client.schedules.create(${first}, { ${options.join(", ")} }));`,
  };
}

function at(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((one, part) => (one as Record<string, unknown> | undefined)?.[part], value);
}

/** What is wrong with inputs. An expression stands for a value that is known when the schedule is fired. */
export function inputFaults(schema: Schema | undefined, value: unknown): Record<string, string> {
  if (!schema) return {};
  const open = ([path]: [string, string]): boolean => {
    const found = at(value, path);
    return typeof found !== "string" || !found.includes("${{");
  };
  return Object.fromEntries(Object.entries(faults(schema, value)).filter(open));
}

/** What is wrong with the fields beside the inputs; the server has the last word on times and zones. */
export function draftFaults(draft: Draft): Partial<Record<keyof Draft, string>> {
  const found: Partial<Record<keyof Draft, string>> = {};
  const jitter = Number(draft.jitter || 0);
  if (!draft.name.trim()) found.name = "This is needed.";
  if (!draft.cron.trim()) found.cron = "This is needed.";
  if (!draft.target) found.target = "This is needed.";
  if (!Number.isFinite(jitter) || jitter < 0 || jitter > 3_600) found.jitter = "Expected 0 to 3,600 seconds.";
  return found;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The clock of the zone in a time as the server writes it: day, time, and the offset from UTC. */
export function clockOf(time: string): { day: string; clock: string; offset: string } | null {
  const found = /^\d{4}-(\d\d)-(\d\d)T(\d\d:\d\d)(?::(\d\d))?(?:\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (!found) return null;
  const [, month, day, clock, seconds, offset] = found;
  const exact = seconds && seconds !== "00" ? `${clock}:${seconds}` : (clock as string);
  return {
    day: `${Number(day)} ${MONTHS[Number(month) - 1] ?? month}`,
    clock: exact,
    offset: offset === "Z" ? "UTC" : `UTC${offset}`,
  };
}

/** The times after the first, as short as they can be read: a day is named once. */
export function later(times: readonly string[]): string {
  let before = clockOf(times[0] ?? "")?.day ?? "";
  const rest = times.slice(1).map((time) => {
    const one = clockOf(time);
    if (!one) return time;
    const text = one.day === before ? one.clock : `${one.day} ${one.clock}`;
    before = one.day;
    return text;
  });
  return rest.join(", ");
}

/** A moment that is to come, from now: `in 40 s`, `in 3 h`, `in 2 d`. */
export function until(ms: number): string {
  if (ms < 1_000) return "now";
  const units: [number, string][] = [
    [172_800_000, "d"],
    [7_200_000, "h"],
    [120_000, "min"],
  ];
  const [from, unit] = units.find(([from]) => ms >= from) ?? [0, "s"];
  const size = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000 }[unit] ?? 1_000;
  return from === 0 ? `in ${Math.round(ms / 1_000)} s` : `in ${Math.floor(ms / size)} ${unit}`;
}

/** Whether a time started nothing, and nothing waits for it. */
export function startedNothing(state: string): boolean {
  return state !== "started" && state !== "queued";
}

/** The state of a schedule, with its word. */
export function standing(schedule: { paused: boolean; next: readonly string[] }): { state: string; word: string } {
  if (schedule.paused) return { state: "paused", word: "paused" };
  if (schedule.next.length === 0) return { state: "finished", word: "never again" };
  return { state: "scheduled", word: "on" };
}
