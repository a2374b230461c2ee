import { expect, test } from "vitest";
import { choices, chosen } from "./choice";

test("an unknown choice is the usual one", () => {
  const choices = [{ id: "a" }, { id: "b" }] as const;
  expect(chosen(choices, "b", "a")).toBe("b");
  expect(chosen(choices, "x", "a")).toBe("a");
  expect(chosen(choices, undefined, "b")).toBe("b");
});

test("choices keep their order", () => {
  expect(choices({ worker: "Worker", day: "Day" })).toEqual([
    { id: "worker", name: "Worker" },
    { id: "day", name: "Day" },
  ]);
});
