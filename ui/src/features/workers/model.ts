// What the page of workers says about them. Pure.
import type { Schema } from "../../api/paths";
import { shell } from "../../kit/snippets";
import type { LogLine } from "../../live/frames";

export type Health = Schema<"Health">;
export type Script = Schema<"Script">;
export type Host = Schema<"HostInfo">;

/** The commands that a reason names between backticks: those of several words, as `npm install openai` is. */
export function mends(why: string): string[] {
  // A package of Node goes beside the script: the folder belongs to the command.
  const folder = /`npm install[^`]*` in (\S+)/.exec(why)?.[1];
  return [...why.matchAll(/`([^`]+)`/g)].flatMap(([, command]) => {
    if (!command || !/^\S+ \S/.test(command) || /^\w+:/.test(command)) return [];
    return [folder && command.startsWith("npm install") ? `${command} --prefix ${shell(folder)}` : command];
  });
}

/** A reason without the command that is shown beside it. */
export function reasonOf(why: string): string {
  return mends(why).length > 0 ? (why.split(": run `")[0] ?? why) : why;
}

/** Whether a script needs a person: it cannot start, crashed, or talks to a provider by itself. */
export function needsCare(script: Script): boolean {
  return script.standing === "cannot_start" || script.state === "crashed" || script.warnings.length > 0;
}

/** Scripts that need a person first, then those that run, then the rest; each by name. */
export function inCare(scripts: readonly Script[]): Script[] {
  const rank = (one: Script): number => (needsCare(one) ? 0 : one.standing === "started" ? 1 : 2);
  return scripts.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** The script that serves a worker: of its name, or with the id. */
export function scriptOf(scripts: readonly Script[], name: string): Script | undefined {
  return scripts.find((one) => one.id === name) ?? scripts.find((one) => one.name === name);
}

/** Lines that are kept of a log on screen. */
export const KEPT = 2_000;

/** The log after more lines: none twice, in the order of their numbers, the oldest left out beyond `KEPT`. */
export function withLines(was: readonly LogLine[], more: readonly LogLine[]): readonly LogLine[] {
  const last = was.at(-1)?.number ?? -1;
  const news = more.filter((line) => line.number > last).sort((a, b) => a.number - b.number);
  if (news.length === 0) return was;
  return [...was, ...news].slice(-KEPT);
}

/** Why a worker answers nothing, for people; null when it can work. */
export function absence(worker: Health): string | null {
  if (worker.state !== "absent") return null;
  return worker.ready > 0
    ? "Nothing serves it, and its tasks wait: start its script or a host."
    : "Nothing serves it: start its script or a host.";
}
