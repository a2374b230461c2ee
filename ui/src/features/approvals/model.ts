// The inbox: what waits for a person, and how much a budget must be raised. Pure.
import type { Schema, Task } from "../../api/paths";

export type Budget = Schema<"Budget">;
export type Approval = Schema<"Approval">;

const CENT = 10_000_000;

/** Nano-dollars of an amount such as `$0.50` or `$1,234.5`; null when it is none. */
export function amount(text: string): number | null {
  const match = /^\$?\s*([\d,]+(?:\.\d+)?|\.\d+)$/.exec(text.trim());
  if (!match?.[1]) return null;
  const dollars = Number(match[1].replaceAll(",", ""));
  return Number.isFinite(dollars) ? Math.round(dollars * 1e9) : null;
}

/** What a parked task needs for its next call, in nano-dollars; null when the server does not say. */
export function needs(task: Task): number | null {
  return task.waiting?.for === "money" ? amount(task.waiting.needs) : null;
}

/** The accounts that pay for a task, as budgets name them. */
export function payers(task: Task): string[] {
  return [task.id, ...(task.run ? [task.run] : []), `worker:${task.worker}`, `queue:${task.queue}`, "tenant", "day"];
}

export type Raise = { account: string; limit: number; spent: number; to: number };

/** Rounds up to whole cents, as people set budgets; amounts below a cent keep two digits. */
function upToCent(nano: number): number {
  if (nano >= CENT) return Math.ceil(nano / CENT) * CENT;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, nano))) - 1);
  return Math.ceil(nano / unit) * unit;
}

/**
 * The budgets that keep a task parked, with the limit that each needs so that the next call fits. Where none of the
 * known ones is too small, calls under way hold the money, and the list is empty.
 */
export function raises(task: Task, budgets: readonly Budget[]): Raise[] {
  const need = needs(task);
  if (need === null) return [];
  const paying = new Set(payers(task));
  return budgets
    .filter((one) => paying.has(one.account) && one.limit_nanousd - one.spent_nanousd < need)
    .map((one) => ({
      account: one.account,
      limit: one.limit_nanousd,
      spent: one.spent_nanousd,
      to: upToCent(one.spent_nanousd + need),
    }))
    .sort((a, b) => a.limit - b.limit);
}

/** Parked tasks that one raise lifts, under its account; tasks without a known budget stand alone. */
export function byBudget(
  tasks: readonly Task[],
  budgets: readonly Budget[],
): { account: string | null; raise: Raise | null; tasks: Task[] }[] {
  const groups = new Map<string, { account: string | null; raise: Raise | null; tasks: Task[] }>();
  for (const task of tasks) {
    const first = raises(task, budgets)[0] ?? null;
    const key = first?.account ?? task.id;
    const group = groups.get(key) ?? { account: first?.account ?? null, raise: first, tasks: [] };
    group.tasks.push(task);
    if (first && (!group.raise || first.to > group.raise.to)) group.raise = first;
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The question of an approval as text: itself, or its `title`, `question` or `message`. */
export function questionOf(question: unknown): { title: string; rest: unknown } {
  if (typeof question === "string") return { title: question, rest: null };
  if (typeof question === "object" && question !== null && !Array.isArray(question)) {
    const fields = question as Record<string, unknown>;
    for (const name of ["title", "question", "message", "text"]) {
      const found = fields[name];
      if (typeof found === "string" && found) {
        const { [name]: _, ...rest } = fields;
        return { title: found, rest: Object.keys(rest).length > 0 ? rest : null };
      }
    }
  }
  return { title: "", rest: question };
}
