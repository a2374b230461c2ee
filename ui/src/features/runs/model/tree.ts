// The steps of a run as a tree: what has begun comes from its tasks, what has not from the graph. Pure.
import type { Counts, Graph, GraphStep, Task } from "../../../api/paths";
import { isEnded } from "../../../kit/state";
import { indexOf, itemsAbove, split } from "./path";

/** What the tree needs of a task. */
export type Row = Pick<Task, "id" | "worker" | "state" | "attempt" | "created_at"> &
  Partial<
    Pick<
      Task,
      | "step"
      | "queue"
      | "ended_at"
      | "started_at"
      | "ready_at"
      | "cost_nanousd"
      | "calls"
      | "input_tokens"
      | "output_tokens"
      | "degraded"
      | "degraded_reason"
      | "stand_in"
      | "cached"
      | "truncated"
      | "recorded"
      | "reused"
      | "reason"
      | "waiting"
      | "error"
      | "replayed"
      | "progress"
    >
  >;

export type Node = {
  path: string;
  name: string;
  kind: "step" | "item" | "end";
  order: number;
  graph?: GraphStep;
  task?: Row;
  children: Node[];
  state: string;
  ready: number | null;
  from: number | null;
  to: number | null;
  cost: number;
  failed: boolean;
  active: boolean;
  /** Items or turns of a fan-out or loop, by state. */
  counts?: Counts;
  total?: number;
  /** Whether it runs another workflow, as a run of its own. */
  starts?: boolean;
};

/** Above this number of items a fan-out is one row with a heat map, and its items are no nodes. */
export const ITEMS_DRAWN = 100;

const END_BLOCKS = new Set(["on_error", "on_cancel", "finally"]);

function time(at: string | null | undefined): number | null {
  const value = at ? Date.parse(at) : Number.NaN;
  return Number.isNaN(value) ? null : value;
}

function total(counts: Counts | null | undefined): number {
  return Object.values(counts ?? {}).reduce<number>((sum, one) => sum + (one ?? 0), 0);
}

class Builder {
  constructor(private readonly many: ReadonlyMap<string, number>) {}

  readonly all = new Map<string, Node>();
  readonly root: Node = this.make("", "", "step");

  private make(path: string, name: string, kind: Node["kind"]): Node {
    const index = indexOf(path);
    return {
      path,
      name,
      kind,
      order: index ?? Number.MAX_SAFE_INTEGER,
      children: [],
      state: "pending",
      ready: null,
      from: null,
      to: null,
      cost: 0,
      failed: false,
      active: false,
    };
  }

  node(path: string): Node {
    if (path === "") return this.root;
    const had = this.all.get(path);
    if (had) return had;
    const { parent, part } = split(path);
    const kind = part.startsWith("[") ? "item" : parent === "" && END_BLOCKS.has(part) ? "end" : "step";
    const made = this.make(path, part, kind);
    if (kind === "end") made.order = Number.MAX_SAFE_INTEGER - 1;
    this.all.set(path, made);
    this.node(parent).children.push(made);
    return made;
  }

  /** Adds the steps of a block below a path, those that have not begun included. */
  plan(graph: Graph, block: number, below: string): void {
    const steps = graph.blocks[block];
    if (!steps) return;
    for (const step of steps.steps) {
      const path = below ? `${below}.${step.name}` : step.name;
      if (step.is_handler && !this.all.has(path)) continue;
      const node = this.node(path);
      node.graph = step;
      node.order = block * 1_000_000 + step.level * 10_000 + step.index;
      node.starts = step.kind === "workflow" && !step.for_each && !step.repeat;
      if (step.for_each || step.repeat) {
        // The graph counts the items of all instances: where there are several, each has its own from its rows.
        if (itemsAbove(path).length === 0) {
          node.counts = step.items ?? undefined;
          node.total = Math.max(total(step.items), this.many.get(path) ?? 0);
        } else node.total = this.many.get(path);
        for (const child of [...node.children]) {
          if (child.kind !== "item") continue;
          child.starts = step.kind === "workflow";
          for (const inner of step.blocks) this.plan(graph, inner, child.path);
        }
      } else for (const inner of step.blocks) this.plan(graph, inner, path);
    }
  }
}

/** Fills in what a node takes from those below it. */
function gather(node: Node): void {
  node.children.sort((a, b) => a.order - b.order || (a.path < b.path ? -1 : 1));
  const own = node.task;
  node.cost = own?.cost_nanousd ?? 0;
  node.failed = own?.state === "failed";
  node.active = own !== undefined && own.state === "running";
  node.ready = time(own?.ready_at ?? own?.created_at);
  node.from = time(own?.started_at) ?? (own && own.state !== "skipped" ? node.ready : null);
  node.to = time(own?.ended_at);
  let open = false;
  for (const child of node.children) {
    gather(child);
    node.cost += child.cost;
    node.failed ||= child.failed;
    node.active ||= child.active;
    open ||= child.state !== "pending" && !isEnded(child.state);
    if (!own) {
      if (child.ready !== null) node.ready = Math.min(node.ready ?? child.ready, child.ready);
      if (child.from !== null) node.from = Math.min(node.from ?? child.from, child.from);
      if (child.to !== null) node.to = Math.max(node.to ?? child.to, child.to);
    }
  }
  if (own) node.state = own.state;
  else if (node.children.some((child) => child.state !== "pending")) {
    node.state = open || node.active ? "running" : node.failed ? "failed" : "succeeded";
    if (open) node.to = null;
  }
}

/** The holders whose items are too many to be nodes. */
export function crowded(graph: Graph | undefined, rows: Iterable<Row>): Map<string, number> {
  const items = new Map<string, number>();
  for (const row of rows) {
    const index = row.step ? indexOf(row.step) : null;
    if (index === null || !row.step) continue;
    const { parent } = split(row.step);
    items.set(parent, Math.max(items.get(parent) ?? 0, index + 1));
  }
  for (const block of graph?.blocks ?? []) {
    for (const step of block.steps) {
      if (block.parent !== undefined || block.kind !== "steps" || !step.for_each) continue;
      const count = total(step.items);
      items.set(step.name, Math.max(items.get(step.name) ?? 0, count));
    }
  }
  return new Map([...items].filter(([, count]) => count > ITEMS_DRAWN));
}

/** Builds the tree. Items of crowded holders are left out: their holder stands for them. */
export function grow(graph: Graph | undefined, rows: readonly Row[], many: ReadonlyMap<string, number>): Node[] {
  const builder = new Builder(many);
  for (const row of rows) {
    const path = row.step ?? row.id;
    if (many.size > 0 && itemsAbove(path).some(({ holder }) => many.has(holder))) continue;
    builder.node(path).task = row;
  }
  for (const block of graph?.blocks ?? []) {
    if (block.parent) continue;
    if (block.kind === "steps") builder.plan(graph as Graph, block.index, "");
    else if (block.steps.length > 0) {
      builder.node(block.kind);
      builder.plan(graph as Graph, block.index, block.kind);
    }
  }
  gather(builder.root);
  return builder.root.children;
}

/** Whether a node is open by itself: something inside of it runs or failed, and it is not too long. */
export function opensItself(node: Node): boolean {
  return (
    node.children.length > 0 &&
    node.children.length <= ITEMS_DRAWN &&
    (node.active || node.failed || node.state === "running")
  );
}

/** `inset`: what stands below the line of a node, over the whole width: the map of its items, or the run it started. */
export type Line = { node: Node; depth: number; open: boolean; of: number; at: number; inset?: "heat" | "child" };

/** The lines of the outline: nodes whose ancestors are all open. `folds` holds what a person has set. */
export function lines(
  nodes: readonly Node[],
  folds: ReadonlyMap<string, boolean>,
  keep: (node: Node) => boolean = () => true,
): Line[] {
  const found: Line[] = [];
  const visit = (all: readonly Node[], depth: number): void => {
    const shown = all.filter((node) => keep(node) || node.children.some(deep));
    shown.forEach((node, at) => {
      const inset = isFan(node) ? "heat" : isChild(node) ? "child" : undefined;
      const own = inset === "heat" || opensItself(node) || (inset === "child" && (node.active || node.failed));
      const open = canOpen(node) && (folds.get(node.path) ?? own);
      found.push({ node, depth, open, of: shown.length, at: at + 1 });
      if (!open) return;
      if (inset) found.push({ node, depth: depth + 1, open: false, of: 1, at: 1, inset });
      visit(node.children, depth + 1);
    });
  };
  const deep = (node: Node): boolean => keep(node) || node.children.some(deep);
  visit(nodes, 0);
  return found;
}

/** Whether a node stands for more items than are drawn. */
export function isFan(node: Node): boolean {
  return node.children.length === 0 && (node.total ?? 0) > ITEMS_DRAWN;
}

/** Whether a node stands for a run of its own, which it has started. */
export function isChild(node: Node): boolean {
  return node.starts === true && node.task !== undefined && node.state !== "skipped" && node.state !== "pending";
}

/** Whether something is shown below a node when it is unfolded. */
export function canOpen(node: Node): boolean {
  return node.children.length > 0 || isFan(node) || isChild(node);
}

/** The span of time that the timeline shows. */
export function bounds(created: string, ended: string | null | undefined, now: number): { from: number; to: number } {
  const from = time(created) ?? now;
  const to = Math.max(time(ended) ?? now, from + 1);
  return { from, to };
}

/** Round moments between two times, for the head of a timeline: milliseconds since the start. */
export function ticks(span: number, most = 6): number[] {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5,
    216e5, 432e5, 864e5,
  ];
  const step = steps.find((one) => span / one <= most) ?? Math.ceil(span / most / 864e5) * 864e5;
  const found: number[] = [];
  for (let at = 0; at <= span; at += step) found.push(at);
  return found;
}
