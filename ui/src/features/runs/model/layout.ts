// Places for the steps of a graph, from the levels that the server gives: columns from left to right, few crossings, no
// two boxes over each other. Pure, and linear in the number of steps but for the sorting of each column.
import type { Graph, GraphStep } from "../../../api/paths";

export type Box = {
  id: string;
  kind: "step" | "block";
  /** The box that holds it; its place is relative to that one. */
  parent?: string;
  x: number;
  y: number;
  width: number;
  height: number;
  block: number;
  step?: GraphStep;
};
export type Edge = { id: string; from: string; to: string };
export type Layout = { boxes: Box[]; edges: Edge[]; width: number; height: number };

const STEP = { width: 208, height: 60 };
const GAP = { x: 56, y: 20 };
const PAD = { x: 16, top: 34, bottom: 16 };

export const stepId = (block: number, step: number): string => `s${block}.${step}`;
export const blockId = (block: number): string => `b${block}`;

type Size = { width: number; height: number };

/** Orders each column so that edges cross little: four sweeps, each step near the middle of its neighbours. */
export function order(levels: number[][], steps: readonly GraphStep[]): number[][] {
  const columns = levels.map((column) => [...column]);
  const place = new Map<number, number>();
  const note = (): void => {
    for (const column of columns) {
      column.forEach((step, at) => {
        place.set(step, column.length > 1 ? at / (column.length - 1) : 0.5);
      });
    }
  };
  const after = new Map<number, number[]>();
  for (const step of steps) for (const need of step.needs) after.set(need, [...(after.get(need) ?? []), step.index]);
  const middle = (near: readonly number[], own: number): number => {
    const known = near.map((one) => place.get(one)).filter((one): one is number => one !== undefined);
    return known.length > 0 ? known.reduce((sum, one) => sum + one, 0) / known.length : own;
  };
  const byIndex = new Map(steps.map((step) => [step.index, step]));
  note();
  for (let sweep = 0; sweep < 4; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const column of forward ? columns : [...columns].reverse()) {
      const weight = new Map(
        column.map((step) => [
          step,
          middle((forward ? byIndex.get(step)?.needs : after.get(step)) ?? [], place.get(step) ?? 0.5),
        ]),
      );
      column.sort((a, b) => (weight.get(a) ?? 0) - (weight.get(b) ?? 0) || a - b);
      note();
    }
  }
  return columns;
}

class Placer {
  readonly boxes: Box[] = [];
  readonly edges: Edge[] = [];

  constructor(private readonly graph: Graph) {}

  /** Places a block at 0, 0 of a parent and returns its size, without any frame. */
  block(index: number, parent: string | undefined, left: number, top: number): Size {
    const block = this.graph.blocks[index];
    if (!block || block.steps.length === 0) return { width: 0, height: 0 };
    const byIndex = new Map(block.steps.map((step) => [step.index, step]));
    const listed = new Set(block.levels.flat());
    const rest = block.steps.filter((step) => !listed.has(step.index)).map((step) => step.index);
    const columns = order(rest.length > 0 ? [...block.levels, rest] : block.levels, block.steps);
    const placed: { boxes: Box[]; height: number }[] = [];
    let x = left;
    let height = 0;
    for (const column of columns) {
      let y = top;
      let width = 0;
      const boxes: Box[] = [];
      for (const one of column) {
        const step = byIndex.get(one);
        if (!step) continue;
        const box = this.step(index, step, parent, x, y);
        boxes.push(box);
        width = Math.max(width, box.width);
        y += box.height + GAP.y;
      }
      if (boxes.length === 0) continue;
      const used = y - GAP.y - top;
      placed.push({ boxes, height: used });
      height = Math.max(height, used);
      x += width + GAP.x;
    }
    // Columns are centred on the longest one.
    for (const { boxes, height: used } of placed) for (const box of boxes) box.y += (height - used) / 2;
    for (const step of block.steps) {
      for (const need of step.needs) {
        const id = `${stepId(index, need)}-${stepId(index, step.index)}`;
        this.edges.push({ id, from: stepId(index, need), to: stepId(index, step.index) });
      }
    }
    return { width: Math.max(0, x - GAP.x - left), height };
  }

  /** Places a step, with its inner blocks inside of it, one below the other. */
  private step(block: number, step: GraphStep, parent: string | undefined, x: number, y: number): Box {
    const id = stepId(block, step.index);
    const box: Box = { id, kind: "step", parent, x, y, ...STEP, block, step };
    this.boxes.push(box);
    const inner = step.blocks.filter((one) => (this.graph.blocks[one]?.steps.length ?? 0) > 0);
    if (inner.length === 0) return box;
    let top = STEP.height + 4;
    let width = STEP.width;
    for (const one of inner) {
      const frame: Box = {
        id: blockId(one),
        kind: "block",
        parent: id,
        x: PAD.x,
        y: top,
        width: 0,
        height: 0,
        block: one,
      };
      this.boxes.push(frame);
      const size = this.block(one, frame.id, PAD.x, PAD.top);
      frame.width = size.width + 2 * PAD.x;
      frame.height = size.height + PAD.top + PAD.bottom;
      width = Math.max(width, frame.width + 2 * PAD.x);
      top += frame.height + GAP.y;
    }
    box.width = width;
    box.height = top - GAP.y + PAD.bottom;
    return box;
  }
}

/** Places a whole graph: its steps first, then the blocks for errors, for cancellation and for the end, below. */
export function layout(graph: Graph): Layout {
  const placer = new Placer(graph);
  let top = 0;
  let width = 0;
  for (const block of graph.blocks) {
    if (block.parent || block.steps.length === 0) continue;
    if (block.kind === "steps") {
      const size = placer.block(block.index, undefined, 0, top);
      width = Math.max(width, size.width);
      top += size.height + 2 * GAP.y;
      continue;
    }
    const frame: Box = {
      id: blockId(block.index),
      kind: "block",
      x: 0,
      y: top,
      width: 0,
      height: 0,
      block: block.index,
    };
    placer.boxes.push(frame);
    const size = placer.block(block.index, frame.id, PAD.x, PAD.top);
    frame.width = size.width + 2 * PAD.x;
    frame.height = size.height + PAD.top + PAD.bottom;
    width = Math.max(width, frame.width);
    top += frame.height + 2 * GAP.y;
  }
  return { boxes: placer.boxes, edges: placer.edges, width, height: Math.max(0, top - 2 * GAP.y) };
}

/** The number of boxes that a graph would draw. */
export function size(graph: Graph): number {
  return graph.blocks.reduce((sum, block) => sum + block.steps.length, 0);
}
