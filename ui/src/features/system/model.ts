// What the page System says of checks and settings. Pure.
import type { Schema, Setting, System } from "../../api/paths";

export type Check = Schema<"CheckResult">;

/** The command that shows more about a failed health check, by the words in its name. */
export function commandFor(check: Check): string {
  const name = check.name.toLowerCase();
  if (/disk|space/.test(name)) return "kapelle doctor";
  if (/script|worker|crash/.test(name)) return "kapelle workers list";
  if (/queue|wait|depth|backlog/.test(name)) return "kapelle queues list";
  if (/fail|dead|error/.test(name)) return "kapelle dead list";
  if (/budget|spend|cost|money/.test(name)) return "kapelle budgets list";
  if (/host/.test(name)) return "kapelle workers list";
  return "kapelle doctor";
}

/** The share of a disk that is in use, as `df` shows it: what is reserved for root counts neither as used nor as free. */
export function diskShare(disk: Pick<System["disk"], "used_bytes" | "free_bytes">): number | null {
  const { used_bytes: used, free_bytes: free } = disk;
  return used == null || free == null || used + free === 0 ? null : used / (used + free);
}

const RANK: Record<string, number> = { critical: 0, fail: 0, warning: 1, warn: 1 };

/** Checks with the worst first; those of one state keep their order. */
export function worstFirst<T>(checks: readonly T[], state: (check: T) => string): T[] {
  return checks.toSorted((a, b) => (RANK[state(a)] ?? 2) - (RANK[state(b)] ?? 2));
}

/** The value of a setting as one line. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** Settings whose path, value or origin holds a text; those that are not defaults come first. */
export function settings(all: readonly Setting[], q: string): Setting[] {
  const wanted = q.trim().toLowerCase();
  const found = all.filter((one) =>
    `${one.path} ${settingText(one.value)} ${one.origin}`.toLowerCase().includes(wanted),
  );
  const rank = (one: Setting): number => (/default/i.test(one.origin) ? 1 : 0);
  return found.sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path));
}
