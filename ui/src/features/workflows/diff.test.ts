import { expect, test } from "vitest";
import type { Graph, GraphStep } from "../../api/paths";
import { changes, diffLines, places } from "./diff";

const step = (index: number, name: string, more: Partial<GraphStep> = {}): GraphStep => ({
  index,
  name,
  kind: "worker",
  what: name,
  worker: name,
  needs: [],
  level: 0,
  run_if: "success",
  on_error: "fail",
  is_handler: false,
  blocks: [],
  requires: [],
  line: index,
  ...more,
});
const graph = (steps: GraphStep[]): Graph => ({
  workflow: "w",
  strategy: "parallel",
  blocks: [{ index: 0, kind: "steps", levels: [steps.map((one) => one.index)], steps }],
});

test("a unified diff is read line by line", () => {
  expect(diffLines("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same\n")).toEqual([
    { kind: "place", text: "@@ -1 +1 @@" },
    { kind: "drop", text: "old" },
    { kind: "add", text: "new" },
    { kind: "same", text: "same" },
  ]);
  expect(diffLines("")).toEqual([]);
});

test("steps that were added, removed or changed are found, and a new number is no change", () => {
  const from = graph([step(0, "a"), step(1, "b", { needs: [0] }), step(2, "c")]);
  const to = graph([step(0, "new"), step(1, "a"), step(2, "b", { needs: [1], if: "x" })]);
  expect([...changes(from, to)]).toEqual([
    ["new", "added"],
    ["b", "changed"],
    ["c", "removed"],
  ]);
  const inner = graph([step(0, "outer", { blocks: [1] })]);
  inner.blocks.push({ index: 1, kind: "then", parent: { block: 0, step: 0 }, levels: [[0]], steps: [step(0, "in")] });
  expect([...places(inner).keys()]).toEqual(["outer", "outer.in"]);
});
