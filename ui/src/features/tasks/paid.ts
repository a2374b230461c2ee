import type { Task } from "../../api/paths";

/**
 * What a task has cost, its failed attempts included, in nano-dollars. A list has no attempts, so there the cost of a
 * task that failed is not known: null.
 */
export function paid(task: Task): number | null {
  const answered = task.cost_nanousd ?? 0;
  if (task.attempts) return task.attempts.reduce((sum, one) => sum + (one.cost_nanousd ?? 0), answered);
  const failed = task.state === "failed" || task.state === "discarded" || task.attempt > 1;
  return failed && answered === 0 ? null : answered;
}
