import { expect, test } from "vitest";
import type { LogLine } from "../../live/frames";
import { inCare, KEPT, mends, reasonOf, type Script, scriptOf, withLines } from "./model";

const script = (more: Partial<Script>): Script =>
  ({
    id: "a",
    name: "a",
    standing: "started",
    state: "running",
    why: "",
    warnings: [],
    processes: [],
    ...more,
  }) as Script;
const line = (number: number): LogLine => ({ number, at: "", instance: 1, stream: "out", text: String(number) });

test("the command that mends is taken out of the reason", () => {
  expect(mends("openai is not installed: run `npm install openai` in workers")).toEqual([
    "npm install openai --prefix workers",
  ]);
  expect(reasonOf("openai is not installed: run `npm install openai` in workers")).toBe("openai is not installed");
  expect(mends("it is TypeScript: run `a b`, or `npm install tsx` beside it")).toEqual(["a b", "npm install tsx"]);
  expect(reasonOf("it is a test")).toBe("it is a test");
  expect(mends("no schedule: set `mode: daemon`, `task` or `pool` in its settings")).toEqual([]);
});

test("scripts that need a person come first", () => {
  const sorted = inCare([
    script({ name: "z" }),
    script({ name: "b", standing: "startable" }),
    script({ name: "m", warnings: ["line 3 names api.openai.com"] }),
    script({ name: "c", standing: "cannot_start" }),
  ]);
  expect(sorted.map((one) => one.name)).toEqual(["c", "m", "z", "b"]);
});

test("a script is found by id before name", () => {
  const all = [script({ id: "x", name: "y" }), script({ id: "y", name: "other" })];
  expect(scriptOf(all, "y")?.name).toBe("other");
  expect(scriptOf(all, "other")?.id).toBe("y");
  expect(scriptOf(all, "none")).toBeUndefined();
});

test("lines of a log come once and in order, and the oldest leave", () => {
  const some = withLines([line(1), line(2)], [line(4), line(2), line(3)]);
  expect(some.map((one) => one.number)).toEqual([1, 2, 3, 4]);
  const many = withLines(
    some,
    Array.from({ length: KEPT }, (_, at) => line(at + 5)),
  );
  expect(many).toHaveLength(KEPT);
  expect(many[0]?.number).toBe(5);
  expect(withLines(some, [line(2)])).toBe(some);
});
