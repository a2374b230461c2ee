// The steps of a run as outline or graph, with the scrubber over its journal and the step that was chosen.
import { History } from "lucide-react";
import { lazy, Suspense, useMemo, useState } from "react";
import type { Explained, Graph, Run } from "../../api/paths";
import { Button } from "../../kit/button";
import { CheckField, Pick } from "../../kit/fields";
import { count, many } from "../../kit/format";
import { Card, Grow } from "../../kit/page";
import { Empty, ErrorBox, Loading, Notice } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { moment } from "../../kit/time";
import { ChildRuns } from "./child";
import { Detail } from "./detail";
import { FanOut } from "./fan";
import { useJournal } from "./journal";
import { statesAt } from "./model/journal";
import { size } from "./model/layout";
import { itemsAbove, split } from "./model/path";
import { lines, type Node } from "./model/tree";
import { Outline } from "./outline";
import css from "./outline.module.css";
import run_css from "./run.module.css";
import type { RunStore } from "./store";

const GraphView = lazy(() => import("./graph"));

/** Steps that are drawn at most. */
const DRAWN = 300;
const FILTERS = [
  { value: "", label: "all steps" },
  { value: "active", label: "what runs or waits" },
  { value: "failed", label: "what failed" },
  { value: "paid", label: "what cost money" },
  { value: "slow", label: "not what succeeded" },
];

function keeps(filter: string): (node: Node) => boolean {
  switch (filter) {
    case "active":
      return (node) => node.state !== "pending" && !isEnded(node.state);
    case "failed":
      return (node) => node.task?.state === "failed";
    case "paid":
      return (node) => (node.task?.cost_nanousd ?? 0) > 0;
    case "slow":
      return (node) => node.state !== "succeeded";
    default:
      return () => true;
  }
}

export function findNode(nodes: readonly Node[], path: string): Node | undefined {
  for (const node of nodes) {
    if (node.path === path) return node;
    const inside = findNode(node.children, path);
    if (inside) return inside;
  }
  return undefined;
}

type Props = {
  run: Run;
  graph: Graph | undefined;
  nodes: Node[];
  store: RunStore;
  view: "outline" | "graph";
  selected: string;
  at: number | null;
  explained: Explained[] | undefined;
  onSelect: (path: string) => void;
  onMoment: (seq: number | null) => void;
  onTask: (task: string) => void;
  onRerun: (step: string) => void;
};

export function Steps(props: Props) {
  const { run, graph, nodes, store, selected, at, onSelect, onMoment } = props;
  const [folds, setFolds] = useState<Map<string, boolean>>(new Map());
  const [filter, setFilter] = useState("");
  const [scrubbing, setScrubbing] = useState(at !== null);
  const [items, setItems] = useState<Record<string, string | null>>({});
  const { entries } = useJournal(run.id, run.seq, scrubbing || at !== null);
  const then = useMemo(() => (at === null ? null : statesAt(entries, at)), [entries, at]);
  const shown = useMemo(() => lines(nodes, folds, keeps(filter)), [nodes, folds, filter]);
  const node = selected ? findNode(nodes, selected) : undefined;
  const last = Math.max(0, run.seq - 1);
  const when = at === null ? undefined : entries.find((entry) => entry.seq === at)?.at;
  const fold = (path: string, open: boolean): void => setFolds((was) => new Map(was).set(path, open));
  const scrub = (on: boolean): void => {
    setScrubbing(on);
    onMoment(on ? last : null);
  };
  const why = props.explained?.find((one) => one.step === selected);
  const large = graph !== undefined && size(graph) > DRAWN;
  return (
    <div className={run_css.split} data-detail={node ? "" : undefined}>
      <Card flush>
        <div className={css.tools}>
          <Pick label="Show" value={filter} choices={FILTERS} onChange={setFilter} />
          <span className="muted">{many(store.rows.size, "step")} begun</span>
          <Grow />
          {store.partial && <span className="muted">Only the first {count(store.rows.size)} are listed</span>}
          <CheckField label="Go back in time" value={scrubbing} onChange={scrub} />
        </div>
        {store.error != null && <ErrorBox error={store.error} retry={() => void store.load()} what="The steps" />}
        {!store.loaded && store.error == null && <Loading what="the steps" />}
        {store.loaded && nodes.length === 0 && <Empty title="No step has begun" />}
        {props.view === "graph" && large && (
          <Notice tone="info">
            This graph has {count(graph ? size(graph) : 0)} steps: more than {DRAWN} are not drawn, and the outline
            stands in for it.
          </Notice>
        )}
        {props.view === "graph" && !graph && store.loaded && (
          <Notice tone="calm">This server tells no graph of a run: the outline stands in for it.</Notice>
        )}
        {props.view === "graph" && graph && !large ? (
          <Suspense fallback={<Loading what="the graph" />}>
            <GraphView graph={graph} nodes={nodes} selected={selected} onSelect={onSelect} />
          </Suspense>
        ) : (
          nodes.length > 0 && (
            <Outline
              lines={shown}
              run={run}
              then={then}
              moment={when ? Date.parse(when) : null}
              selected={selected}
              onSelect={onSelect}
              onFold={fold}
              inset={(below, kind) =>
                kind === "child" ? (
                  <ChildRuns ids={run.children ?? []} task={below.task?.id ?? ""} />
                ) : (
                  <FanOut
                    run={run}
                    store={store}
                    holder={below.path}
                    state={items[below.path] ?? null}
                    onState={(state) => setItems((was) => ({ ...was, [below.path]: state }))}
                    onTask={props.onTask}
                  />
                )
              }
            />
          )
        )}
        {scrubbing && (
          <div className={css.scrub}>
            <History size={15} aria-hidden />
            <input
              type="range"
              min={0}
              max={last}
              value={at ?? last}
              aria-label="Moment of the journal"
              aria-valuetext={when ? `entry ${at}, ${moment(when)}` : `entry ${at ?? last}`}
              onChange={(event) => onMoment(Number(event.target.value))}
            />
            <span className="num">
              entry {at ?? last} of {last}
              {when && `, ${moment(when)}`}
            </span>
            <Button small onClick={() => scrub(false)}>
              Now
            </Button>
          </div>
        )}
      </Card>
      {node && (
        <Detail
          key={node.path}
          node={then?.get(node.path) ? { ...node, state: then.get(node.path)?.state ?? node.state } : node}
          run={run}
          graph={graph}
          why={why}
          onRerun={props.onRerun}
          onClose={() => onSelect("")}
        />
      )}
      {selected && !node && store.loaded && itemsAbove(selected).length > 0 && (
        <Notice tone="calm">Item {split(selected).part} is part of the map of its step.</Notice>
      )}
    </div>
  );
}
