// Two versions of a workflow: their texts line by line, and their graphs step by step. Pure.
import type { Graph, GraphStep } from "../../api/paths";

export type DiffLine = { kind: "add" | "drop" | "same" | "place"; text: string };

/** The lines of a unified diff. */
export function diffLines(diff: string): DiffLine[] {
  const lines = diff.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines
    .filter((line) => !line.startsWith("--- ") && !line.startsWith("+++ "))
    .map((line): DiffLine => {
      if (line.startsWith("@@")) return { kind: "place", text: line };
      if (line.startsWith("+")) return { kind: "add", text: line.slice(1) };
      if (line.startsWith("-")) return { kind: "drop", text: line.slice(1) };
      return { kind: "same", text: line.slice(1) };
    });
}

export type Change = "added" | "removed" | "changed";

/** The steps of a graph by their place: the names of the steps around them and their own. */
export function places(graph: Graph): Map<string, GraphStep> {
  const found = new Map<string, GraphStep>();
  const prefix = (index: number): string => {
    const block = graph.blocks[index];
    if (!block) return "";
    if (!block.parent) return block.kind === "steps" ? "" : `${block.kind}.`;
    const step = graph.blocks[block.parent.block]?.steps.find((one) => one.index === block.parent?.step);
    return `${prefix(block.parent.block)}${step?.name ?? ""}.`;
  };
  for (const block of graph.blocks) for (const step of block.steps) found.set(prefix(block.index) + step.name, step);
  return found;
}

/** What a step is, without its numbers, which change with its neighbours. */
function essence(step: GraphStep, graph: Graph): string {
  const block = graph.blocks.find((one) => one.steps.includes(step));
  const needs = step.needs.map((need) => block?.steps.find((one) => one.index === need)?.name).sort();
  const { index: _i, line: _l, level: _v, blocks: _b, counts: _c, items: _s, taken: _k, handler: _h, ...rest } = step;
  return JSON.stringify({ ...rest, needs });
}

/** Which steps were added, removed or changed between two graphs. */
export function changes(from: Graph, to: Graph): Map<string, Change> {
  const [before, after] = [places(from), places(to)];
  const found = new Map<string, Change>();
  for (const [path, step] of after) {
    const was = before.get(path);
    if (!was) found.set(path, "added");
    else if (essence(was, from) !== essence(step, to)) found.set(path, "changed");
  }
  for (const path of before.keys()) if (!after.has(path)) found.set(path, "removed");
  return found;
}
