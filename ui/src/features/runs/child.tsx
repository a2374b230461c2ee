// The run that a step has started, in its place: its own outline below the line of the step.
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Run } from "../../api/paths";
import { useGet } from "../../api/query";
import { StateBadge } from "../../kit/badge";
import { visible } from "../../kit/format";
import { ErrorBox, Loading } from "../../kit/said";
import { Money, Span } from "../../kit/time";
import { FanOut } from "./fan";
import { lines } from "./model/tree";
import { Outline } from "./outline";
import css from "./outline.module.css";
import { useGraph, useRunStore, useTree } from "./use-run";

/** Started runs in which the one of a step is looked for. */
const LOOKED_AT = 50;

/** One of the started runs, if it is the one of this step. */
function Child({ id, task }: { id: string; task: string }) {
  const child = useGet("/api/v1/runs/{id}", { params: { path: { id } } });
  if (child.error) return <ErrorBox error={child.error} retry={() => void child.refetch()} what={id} />;
  return child.data?.parent?.task === task ? <ChildOutline run={child.data} /> : null;
}

function ChildOutline({ run }: { run: Run }) {
  const navigate = useNavigate();
  const store = useRunStore(run.id, run);
  const graph = useGraph(run.id);
  const nodes = useTree(store, graph.data);
  const [folds, setFolds] = useState<Map<string, boolean>>(new Map());
  const [items, setItems] = useState<Record<string, string | null>>({});
  const shown = useMemo(() => lines(nodes, folds), [nodes, folds]);
  const open = (step: string): void =>
    void navigate({ to: "/runs/$run", params: { run: run.id }, search: { step } as never });
  return (
    <section className={css.child} aria-label={`Run ${run.id}`}>
      <p className={css.childHead}>
        <Link to="/runs/$run" params={{ run: run.id }}>
          {visible(run.workflow)}, {run.id}
        </Link>{" "}
        <StateBadge state={run.state} plain /> <Span from={run.created_at} to={run.ended_at} />{" "}
        <Money nano={run.cost_nanousd} />
      </p>
      {store.error != null && <ErrorBox error={store.error} retry={() => void store.load()} what="The steps" />}
      {!store.loaded && store.error == null && <Loading what="the steps" />}
      {nodes.length > 0 && (
        <Outline
          label={`Steps of ${run.id}`}
          lines={shown}
          run={run}
          then={null}
          moment={null}
          selected=""
          onSelect={open}
          onFold={(path, unfolded) => setFolds((was) => new Map(was).set(path, unfolded))}
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
                onTask={(task) => void navigate({ to: "/tasks/$task", params: { task } })}
              />
            )
          }
        />
      )}
    </section>
  );
}

/** The run that a step has started, of all those that its run has started. */
export function ChildRuns({ ids, task }: { ids: readonly string[]; task: string }) {
  return (
    <>
      {ids.slice(0, LOOKED_AT).map((id) => (
        <Child key={id} id={id} task={task} />
      ))}
      {ids.length > LOOKED_AT && (
        <p className={css.childHead}>
          Only the first {LOOKED_AT} of the runs that this run has started are looked through; all of them are linked
          below.
        </p>
      )}
    </>
  );
}
