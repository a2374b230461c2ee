// The graph of a workflow or a run, drawn with our own layout. Loaded only where a graph is shown.
import {
  Background,
  Controls,
  type Edge,
  type Node as FlowNode,
  Handle,
  MarkerType,
  type NodeProps,
  Position,
  ReactFlow,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useMemo } from "react";
import type { GraphBlock, Graph as Shape_ } from "../../api/paths";
import { Mark, StateBadge } from "../../kit/badge";
import { CountsBar, sum } from "../../kit/counts";
import { cx } from "../../kit/cx";
import { count, duration, money, visible } from "../../kit/format";
import { lookOf } from "../../kit/state";
import { places as stepPlaces } from "../workflows/diff";
import css from "./graph.module.css";
import { type Box, layout, stepId } from "./model/layout";
import type { Node } from "./model/tree";

type Shown = {
  title: string;
  about: string;
  state: string | null;
  note: string;
  items?: { counts: Partial<Record<string, number>>; total: number };
  holder: boolean;
  selected: boolean;
  tone?: "added" | "removed" | "changed" | undefined;
};
type StepNode = FlowNode<{ shown: Shown }, "step">;
type BlockNode = FlowNode<{ title: string; taken: boolean }, "block">;

function StepBox({ data }: NodeProps<StepNode>) {
  const { shown } = data;
  const look = shown.state ? lookOf(shown.state) : null;
  return (
    <div
      className={cx(
        css.step,
        look && css[look.tone],
        shown.state === "pending" && css.pending,
        shown.holder && css.holder,
        shown.tone && css[shown.tone],
      )}
      data-selected={shown.selected ? "" : undefined}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className={css.top}>
        <span className={css.name} title={shown.title}>
          {shown.title}
        </span>
        {shown.tone && <Mark tone={shown.tone === "added" ? "good" : "warn"}>{shown.tone}</Mark>}
        {shown.state && <StateBadge state={shown.state} plain word={shown.state === "pending" ? "" : undefined} />}
      </div>
      <div className={css.more}>
        <span title={shown.about}>{shown.about}</span>
        <span className="num">{shown.note}</span>
      </div>
      {shown.items && <CountsBar counts={shown.items.counts} total={shown.items.total} />}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

function BlockBox({ data }: NodeProps<BlockNode>) {
  return <div className={cx(css.block, data.taken && css.taken)}>{data.title}</div>;
}

const TYPES = { step: StepBox, block: BlockBox };
const BLOCKS: Record<GraphBlock["kind"], string> = {
  steps: "inside",
  // biome-ignore lint/suspicious/noThenProperty: it is the name of a kind of block
  then: "if true",
  else: "if false",
  on_error: "when the run fails",
  on_cancel: "when the run is cancelled",
  finally: "at the end",
};

function titleOfBlock(graph: Shape_, block: GraphBlock): string {
  const step = block.parent && graph.blocks[block.parent.block]?.steps.find((one) => one.index === block.parent?.step);
  if (block.kind === "steps" && step?.for_each) return "for each item";
  if (block.kind === "steps" && step?.repeat) return "each turn";
  return BLOCKS[block.kind];
}

/** The paths of the graph's steps in the outermost scopes, where one step is one node of the tree. */
function byStep(nodes: readonly Node[]): Map<object, Node[]> {
  const found = new Map<object, Node[]>();
  const visit = (all: readonly Node[]): void => {
    for (const node of all) {
      if (node.graph) found.set(node.graph, [...(found.get(node.graph) ?? []), node]);
      visit(node.children);
    }
  };
  visit(nodes);
  return found;
}

function taken(graph: Shape_, block: GraphBlock): boolean {
  const step = block.parent && graph.blocks[block.parent.block]?.steps.find((one) => one.index === block.parent?.step);
  if (block.kind === "then") return (step?.taken?.then ?? 0) > 0;
  if (block.kind === "else") return (step?.taken?.else ?? 0) > 0;
  return false;
}

function shownOf(box: Box, places: readonly Node[], selected: string, isRun: boolean): Shown {
  const step = box.step as NonNullable<Box["step"]>;
  const [first] = places;
  const state = !isRun
    ? null
    : places.length > 1
      ? (["running", "failed", "succeeded"].find((one) => places.some((node) => node.state === one)) ??
        first?.state ??
        "pending")
      : (first?.state ?? "pending");
  const took = first?.from != null && first.to != null && places.length === 1 ? duration(first.to - first.from) : "";
  const cost = places.reduce((all, node) => all + node.cost, 0);
  const kind = step.for_each ? "for each" : step.repeat ? "repeats" : step.kind === "worker" ? "" : step.kind;
  const detail = step.worker ?? step.workflow ?? (kind === "" || kind === step.kind ? step.what : "");
  const items =
    step.for_each && step.items && sum(step.items) > 0 ? { counts: step.items, total: sum(step.items) } : undefined;
  return {
    title: visible(step.name),
    about: visible([kind, detail === kind ? "" : detail].filter(Boolean).join(": ")),
    state,
    note:
      places.length > 1
        ? `${count(places.length)} times`
        : [took, cost > 0 ? money(cost) : ""].filter(Boolean).join(", "),
    items,
    holder: step.blocks.length > 0,
    selected: places.some((node) => node.path === selected),
  };
}

/** Which steps differ from another version, by the names around them and their own. */
type Tones = ReadonlyMap<string, "added" | "removed" | "changed">;

type Props = {
  graph: Shape_;
  nodes?: readonly Node[];
  selected?: string;
  onSelect?: (path: string) => void;
  tones?: Tones;
};

/** A graph that can be moved and zoomed. Steps are chosen by a press; the outline is the way for keyboards. */
export default function GraphView({ graph, nodes, selected = "", onSelect, tones }: Props) {
  const placed = useMemo(() => layout(graph), [graph]);
  const places = useMemo(() => byStep(nodes ?? []), [nodes]);
  const named = useMemo(
    () => new Map([...(tones ? stepPlaces(graph) : [])].map(([path, step]) => [step, path])),
    [graph, tones],
  );
  const flow = useMemo(
    () =>
      placed.boxes.map((box): StepNode | BlockNode => {
        const base = {
          id: box.id,
          position: { x: box.x, y: box.y },
          width: box.width,
          height: box.height,
          parentId: box.parent,
          draggable: false,
          connectable: false,
        };
        const block = graph.blocks[box.block] as GraphBlock;
        if (box.kind === "block")
          return {
            ...base,
            type: "block",
            selectable: false,
            data: { title: titleOfBlock(graph, block), taken: taken(graph, block) },
          };
        return {
          ...base,
          type: "step",
          data: {
            shown: {
              ...shownOf(box, places.get(box.step ?? {}) ?? [], selected, nodes !== undefined),
              tone: box.step && tones?.get(named.get(box.step) ?? ""),
            },
          },
        };
      }),
    [placed, places, graph, selected, nodes, tones, named],
  );
  const edges = useMemo(
    () =>
      placed.edges.map(
        (edge): Edge => ({
          id: edge.id,
          source: edge.from,
          target: edge.to,
          selectable: false,
          focusable: false,
          zIndex: 1,
          markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14 },
        }),
      ),
    [placed],
  );
  const choose = (id: string): void => {
    for (const block of graph.blocks) {
      const step = block.steps.find((one) => stepId(block.index, one.index) === id);
      const node = step && places.get(step)?.[0];
      if (node) onSelect?.(node.path);
    }
  };
  return (
    <div className={css.flow} role="group" aria-label={`Graph of ${graph.workflow}`}>
      <ReactFlow
        nodes={flow}
        edges={edges}
        nodeTypes={TYPES}
        colorMode="system"
        fitView
        fitViewOptions={{ maxZoom: 1, minZoom: 0.4, padding: 0.06 }}
        minZoom={0.05}
        maxZoom={1.6}
        nodesFocusable={false}
        edgesFocusable={false}
        onNodeClick={(_, node) => choose(node.id)}
        onlyRenderVisibleElements={flow.length > 150}
      >
        <Background gap={20} />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}
