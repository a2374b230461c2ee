// Spending: which budget is tightest, whether the books balance, where a row leads. Pure.
import type { CostRow, Schema } from "../../api/paths";
import { choices } from "../../kit/choice";

export type Budget = Schema<"Budget">;

/** Ways to divide spending, each with its word. */
export const BY = choices({
  worker: "Worker",
  run: "Run",
  task: "Task",
  model: "Model",
  provider: "Provider",
  queue: "Queue",
  key: "Key",
  day: "Day",
  tenant: "Tenant",
});
export type By = (typeof BY)[number]["id"];

export type Tight = Budget & { left: number; share: number };

/** Budgets: those that park tasks now, then the most used up; a limit of nothing is used up. */
export function tightest(budgets: readonly Budget[], parks: (one: Tight) => number = () => 0): Tight[] {
  return budgets
    .map((one) => ({
      ...one,
      left: one.limit_nanousd - one.spent_nanousd,
      share: one.limit_nanousd > 0 ? one.spent_nanousd / one.limit_nanousd : 1,
    }))
    .sort((a, b) => parks(b) - parks(a) || b.share - a.share || a.left - b.left);
}

export function sumOf(rows: readonly Pick<CostRow, "cost_nanousd">[]): number {
  return rows.reduce((sum, row) => sum + row.cost_nanousd, 0);
}

export type Sum = { by: string; nanousd: number; whole: boolean };
export type Balance = { state: "balanced" | "off" | "unknown"; nanousd: number; sums: Sum[] };

/** Whether several ways to add up the spending give one figure. A list that was cut short proves nothing. */
export function balance(sums: readonly Sum[]): Balance {
  const whole = sums.filter((one) => one.whole);
  const first = whole[0]?.nanousd ?? 0;
  if (whole.length < 2) return { state: "unknown", nanousd: first, sums: [...sums] };
  const state = whole.every((one) => one.nanousd === first) ? "balanced" : "off";
  return { state, nanousd: first, sums: [...sums] };
}

/** Where a row of spending leads: one level deeper, down to the calls. */
export function deeper(by: By, name: string): { to: string; search: Record<string, string> } | null {
  if (name === "-") return null;
  switch (by) {
    case "worker":
      return { to: "/tasks", search: { worker: name, steps: "true" } };
    case "queue":
      return { to: "/tasks", search: { queue: name, steps: "true" } };
    case "run":
      return { to: "/calls", search: { run: name } };
    case "task":
      return { to: "/calls", search: { task: name } };
    case "provider":
      return { to: "/calls", search: { provider: name } };
    case "model": {
      const at = name.indexOf("/");
      if (at < 0) return { to: "/calls", search: { model: name } };
      return { to: "/calls", search: { provider: name.slice(0, at), model: name.slice(at + 1) } };
    }
    case "day":
      return { to: "/calls", search: { day: name } };
    case "tenant":
      return { to: "/spend", search: { by: "run" } };
    default:
      return null;
  }
}

/** The bounds of a day in UTC, as the ledger counts days. */
export function dayRange(day: string | undefined): { since?: string; until?: string } {
  const start = Date.parse(`${day}T00:00:00Z`);
  if (!day || Number.isNaN(start)) return {};
  return { since: new Date(start).toISOString(), until: new Date(start + 86_400_000).toISOString() };
}

/** Dollars as a person types them, in nano-dollars; null when they are none. */
export function typed(text: string): number | null {
  const clean = text.trim().replace(/^\$/, "").replaceAll(",", "");
  if (!/^\d+(\.\d+)?$|^\.\d+$/.test(clean)) return null;
  const nano = Math.round(Number(clean) * 1e9);
  return Number.isSafeInteger(nano) ? nano : null;
}
