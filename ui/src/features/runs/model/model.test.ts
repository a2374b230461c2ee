import { describe, expect, test } from "vitest";
import type { Graph, GraphBlock, GraphStep } from "../../../api/paths";
import { statesAt } from "./journal";
import { type Box, layout, order } from "./layout";
import { indexOf, itemsAbove, outermost, split } from "./path";
import { bounds, crowded, grow, lines, type Row, ticks } from "./tree";

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

function step(index: number, name: string, more: Partial<GraphStep> = {}): GraphStep {
  return {
    index,
    name,
    kind: "worker",
    what: "",
    needs: [],
    level: 0,
    run_if: "success",
    on_error: "fail",
    is_handler: false,
    blocks: [],
    requires: [],
    line: 1,
    ...more,
  };
}

/** A graph of blocks inside of blocks, with edges between levels. */
function graphOf(seed: number, most: number): Graph {
  const next = random(seed);
  const blocks: GraphBlock[] = [];
  const block = (kind: GraphBlock["kind"], depth: number, parent?: GraphBlock["parent"]): number => {
    const index = blocks.length;
    const made: GraphBlock = { index, kind, levels: [], steps: [], ...(parent ? { parent } : {}) };
    blocks.push(made);
    const columns = 1 + Math.floor(next() * 5);
    for (let level = 0; level < columns; level += 1) {
      const column: number[] = [];
      for (let count = 1 + Math.floor(next() * most); count > 0; count -= 1) {
        const at = made.steps.length;
        const before = made.levels.flat();
        const needs = level > 0 ? before.filter(() => next() < 0.3) : [];
        const one = step(at, `s${at}`, { needs, level });
        made.steps.push(one);
        column.push(at);
        if (depth > 0 && next() < 0.2)
          one.blocks = [
            block("then", depth - 1, { block: index, step: at }),
            block("else", depth - 1, { block: index, step: at }),
          ];
      }
      made.levels.push(column);
    }
    return index;
  };
  block("steps", 2);
  if (next() < 0.5) block("finally", 0);
  return { workflow: "random", strategy: "parallel", blocks };
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

describe("paths", () => {
  test("are taken apart from behind", () => {
    expect(split("a.b[3].c")).toEqual({ parent: "a.b[3]", part: "c" });
    expect(split("a.b[3]")).toEqual({ parent: "a.b", part: "[3]" });
    expect(split("tell(fetch.it)")).toEqual({ parent: "", part: "tell(fetch.it)" });
    expect(split("one")).toEqual({ parent: "", part: "one" });
    expect([indexOf("a[17]"), indexOf("a[17].b")]).toEqual([17, null]);
    expect([outermost("a.b[3].c"), outermost("x"), outermost("loop[2]")]).toEqual(["a", "x", "loop"]);
    expect(itemsAbove("a[1].b[2].c")).toEqual([
      { holder: "a[1].b", index: 2 },
      { holder: "a", index: 1 },
    ]);
  });
});

describe("layout", () => {
  test("never puts one box over another, and keeps what is inside of a box inside", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const placed = layout(graphOf(seed, 5));
      const byId = new Map(placed.boxes.map((box) => [box.id, box]));
      if (byId.size !== placed.boxes.length) throw new Error(`seed ${seed}: an id is there twice`);
      const byParent = new Map<string | undefined, Box[]>();
      for (const box of placed.boxes) byParent.set(box.parent, [...(byParent.get(box.parent) ?? []), box]);
      for (const [parent, boxes] of byParent) {
        const holder = parent ? byId.get(parent) : undefined;
        const { width, height } = holder ?? placed;
        boxes.forEach((one, at) => {
          const over = boxes.slice(at + 1).find((other) => overlap(one, other));
          if (over) throw new Error(`seed ${seed}: ${one.id} lies over ${over.id}`);
          const inside =
            one.x >= 0 && one.y >= 0 && one.x + one.width <= width + 1e-6 && one.y + one.height <= height + 1e-6;
          if (!inside) throw new Error(`seed ${seed}: ${one.id} is not inside of ${parent ?? "the graph"}`);
        });
      }
      expect(placed.edges.every((edge) => byId.has(edge.from) && byId.has(edge.to))).toBe(true);
    }
  });

  test("places 1,000 steps in less than 200 ms", () => {
    const steps = Array.from({ length: 1_000 }, (_, at) =>
      step(at, `s${at}`, {
        level: Math.floor(at / 20),
        needs: at >= 20 ? [at - 20, at - 20 - (at % 3)].filter((one) => one >= 0) : [],
      }),
    );
    const levels = Array.from({ length: 50 }, (_, level) => Array.from({ length: 20 }, (_, at) => level * 20 + at));
    const began = performance.now();
    const placed = layout({
      workflow: "long",
      strategy: "parallel",
      blocks: [{ index: 0, kind: "steps", levels, steps }],
    });
    expect(performance.now() - began).toBeLessThan(200);
    expect(placed.boxes.length).toBe(1_000);
  });

  test("sorts a column so that parallel chains do not cross", () => {
    const steps = [
      step(0, "a"),
      step(1, "b"),
      step(2, "b2", { needs: [1], level: 1 }),
      step(3, "a2", { needs: [0], level: 1 }),
    ];
    expect(
      order(
        [
          [0, 1],
          [2, 3],
        ],
        steps,
      ),
    ).toEqual([
      [0, 1],
      [3, 2],
    ]);
  });
});

const at = (ms: number): string => new Date(1_700_000_000_000 + ms).toISOString();
const row = (path: string, state: string, more: Partial<Row> = {}): Row =>
  ({ id: `task_${path}`, worker: "w", state, attempt: 1, created_at: at(0), step: path, ...more }) as Row;

describe("tree", () => {
  const graph: Graph = {
    workflow: "w",
    strategy: "parallel",
    blocks: [
      {
        index: 0,
        kind: "steps",
        levels: [[0], [1], [2]],
        steps: [
          step(0, "read"),
          step(1, "each", { level: 1, needs: [0], for_each: { max_parallel: 5, collect: false }, blocks: [1] }),
          step(2, "tell", { level: 2, needs: [1] }),
        ],
      },
      { index: 1, kind: "steps", parent: { block: 0, step: 1 }, levels: [[0]], steps: [step(0, "score")] },
      { index: 2, kind: "finally", levels: [[0]], steps: [step(0, "clean")] },
    ],
  };
  const rows = [
    row("read", "succeeded", { cost_nanousd: 5, ended_at: at(50) }),
    row("each", "running"),
    row("each[0]", "succeeded", { ended_at: at(90) }),
    row("each[0].score", "succeeded", { cost_nanousd: 7 }),
    row("each[1]", "failed"),
    row("each[1].score", "failed", { started_at: at(20), ended_at: at(70) }),
  ];

  test("holds what has begun and what has not, in the order of the graph", () => {
    const tree = grow(graph, rows, new Map());
    expect(tree.map((node) => [node.path, node.state])).toEqual([
      ["read", "succeeded"],
      ["each", "running"],
      ["tell", "pending"],
      ["finally", "pending"],
    ]);
    expect(tree[1]?.children.map((node) => node.path)).toEqual(["each[0]", "each[1]"]);
    expect(tree[1]?.cost).toBe(7);
    expect(tree[1]?.failed).toBe(true);
    expect(tree[3]?.children[0]?.path).toBe("finally.clean");
  });

  test("is folded but for what runs or failed", () => {
    const tree = grow(graph, rows, new Map());
    const shown = lines(tree, new Map()).map((line) => line.node.path);
    expect(shown).toEqual(["read", "each", "each[0]", "each[1]", "each[1].score", "tell", "finally"]);
    expect(lines(tree, new Map([["each", false]])).map((line) => line.node.path)).toEqual([
      "read",
      "each",
      "tell",
      "finally",
    ]);
    expect(lines(tree, new Map(), (node) => node.state === "failed").map((line) => line.node.path)).toEqual([
      "each",
      "each[1]",
      "each[1].score",
    ]);
  });

  test("makes no nodes of the items of a large fan-out", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => row(`each[${index}]`, "succeeded"));
    const all = [row("each", "running"), ...many];
    const holders = crowded(graph, all);
    expect([...holders]).toEqual([["each", 10_000]]);
    const tree = grow(
      {
        ...graph,
        blocks: graph.blocks.map((block) => ({
          ...block,
          steps: block.steps.map((one) => (one.name === "each" ? { ...one, items_total: 10_000 } : one)),
        })),
      },
      all,
      holders,
    );
    expect(tree.find((node) => node.path === "each")?.children).toEqual([]);
    const shown = lines(tree, new Map());
    expect(shown.filter((line) => line.inset === "heat").length).toBe(1);
    expect(shown.length).toBeLessThan(10);
  });

  test("grows from tasks alone when the server tells no graph", () => {
    expect(grow(undefined, rows, new Map()).map((node) => node.path)).toEqual(["each", "read"]);
  });

  test("draws a timeline with a few round ticks", () => {
    expect(ticks(950)).toEqual([0, 200, 400, 600, 800]);
    for (const span of [1, 7, 999, 61_000, 86_400_000, 9e9]) expect(ticks(span).length).toBeLessThanOrEqual(7);
    expect(bounds(at(0), null, 1_700_000_000_000 + 500)).toEqual({ from: 1_700_000_000_000, to: 1_700_000_000_500 });
  });
});

test("the journal is folded up to a moment", () => {
  const entries = [
    { seq: 0, at: at(0), event: "started" },
    { seq: 1, at: at(1), event: "step_started", step: "a" },
    { seq: 2, at: at(2), event: "step_skipped", step: "b" },
    { seq: 3, at: at(3), event: "step_ended", step: "a", outcome: "failed" },
  ];
  expect(statesAt(entries, 0).size).toBe(0);
  expect(statesAt(entries, 2).get("a")).toEqual({ state: "running", from: at(1) });
  expect(statesAt(entries, 3).get("a")).toEqual({ state: "failed", from: at(1), to: at(3) });
  expect(statesAt(entries, 3).get("b")?.state).toBe("skipped");
});
