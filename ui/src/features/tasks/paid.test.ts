import { expect, test } from "vitest";
import type { Attempt, Task } from "../../api/paths";
import { paid } from "./paid";

const task = (more: Partial<Task>): Task =>
  ({ id: "task_1", state: "succeeded", attempt: 1, cost_nanousd: 0, ...more }) as Task;
const attempt = (cost_nanousd: number): Attempt => ({ number: 1, cost_nanousd }) as Attempt;

test("attempts that failed are paid for, too", () => {
  expect(paid(task({ state: "failed", attempts: [attempt(300), attempt(20)] }))).toBe(320);
  expect(paid(task({ cost_nanousd: 7, attempts: [attempt(300)] }))).toBe(307);
  expect(paid(task({ cost_nanousd: 7 }))).toBe(7);
});

test("the cost of a failed task in a list is not known, which is not nothing", () => {
  expect(paid(task({ state: "failed" }))).toBeNull();
  expect(paid(task({ attempt: 2 }))).toBeNull();
  expect(paid(task({}))).toBe(0);
});
