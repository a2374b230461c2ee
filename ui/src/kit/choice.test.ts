import { expect, test } from "vitest";
import { chosen } from "./choice";

test("an unknown choice is the usual one", () => {
  const choices = [{ id: "a" }, { id: "b" }] as const;
  expect(chosen(choices, "b", "a")).toBe("b");
  expect(chosen(choices, "x", "a")).toBe("a");
  expect(chosen(choices, undefined, "b")).toBe("b");
});
