import { expect, test } from "vitest";
import type { Task } from "../../api/paths";
import { amount, type Budget, byBudget, questionOf, raises } from "./model";

const parked = (id: string, needs: string, more: Partial<Task> = {}): Task =>
  ({ id, worker: "summarizer", queue: "openai", state: "parked", waiting: { for: "money", needs }, ...more }) as Task;
const budget = (account: string, limit: number, spent: number): Budget => ({
  tenant: 1,
  account,
  limit_nanousd: limit * 1e9,
  spent_nanousd: spent * 1e9,
  set_at: "",
  of_file: false,
});

test("amounts are read as the server writes them", () => {
  expect(amount("$0.50")).toBe(500_000_000);
  expect(amount("$1,234.5")).toBe(1_234_500_000_000);
  expect(amount("$0.000012")).toBe(12_000);
  expect(amount("much")).toBeNull();
});

test("the budget that is too small is raised to what the next call needs", () => {
  const task = parked("task_1", "$0.6", { run: "run_3" });
  const all = [budget("run_3", 2.5, 2), budget("day", 100, 5), budget("worker:other", 0, 0)];
  expect(raises(task, all)).toEqual([{ account: "run_3", limit: 2.5e9, spent: 2e9, to: 2.6e9 }]);
});

test("a raise is rounded up, to cents or to two digits", () => {
  expect(raises(parked("t", "$0.001"), [budget("tenant", 1, 1)])[0]?.to).toBe(1_010_000_000);
  expect(raises(parked("t", "$0.0001234"), [budget("tenant", 0, 0)])[0]?.to).toBe(130_000);
});

test("money that calls under way hold is no reason to raise", () => {
  expect(raises(parked("t", "$0.1"), [budget("day", 5, 1)])).toEqual([]);
});

test("tasks of one budget are one group, with the highest raise", () => {
  const groups = byBudget([parked("a", "$0.1"), parked("b", "$0.5"), parked("c", "x")], [budget("day", 1, 1)]);
  expect(groups.map((one) => [one.account, one.raise?.to, one.tasks.length])).toEqual([
    ["day", 1.5e9, 2],
    [null, undefined, 1],
  ]);
});

test("the title of a question is found", () => {
  expect(questionOf("Send it?")).toEqual({ title: "Send it?", rest: null });
  expect(questionOf({ message: "Send?", draft: "Dear" })).toEqual({ title: "Send?", rest: { draft: "Dear" } });
  expect(questionOf([1])).toEqual({ title: "", rest: [1] });
});
