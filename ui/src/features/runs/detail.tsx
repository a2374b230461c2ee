// One step: its state and why, its cost, its texts, and what can be done with it.
import { Link } from "@tanstack/react-router";
import { ExternalLink, RotateCcw, X } from "lucide-react";
import { useState } from "react";
import type { Explained, Graph, Run, Task } from "../../api/paths";
import { useGet, useRows } from "../../api/query";
import { Marks, StateBadge } from "../../kit/badge";
import { Button, buttonClass } from "../../kit/button";
import { CountsWords } from "../../kit/counts";
import { count, duration, many, visible } from "../../kit/format";
import { Facts } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { type Column, Table } from "../../kit/table";
import { Tabs } from "../../kit/tabs";
import { Json } from "../../kit/text";
import { Money, Span, Time } from "../../kit/time";
import { WhyNotice } from "../tasks/waiting";
import css from "./detail.module.css";
import { StepLog } from "./logs";
import { outermost } from "./model/path";
import type { Node } from "./model/tree";

const ITEM_COLUMNS: Column<Task>[] = [
  {
    key: "item",
    head: "Item",
    width: "minmax(80px, 1fr)",
    phone: "wide",
    cell: (task) => (
      <Link to="/tasks/$task" params={{ task: task.id }}>
        {visible(task.step ?? task.id)}
      </Link>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "110px",
    phone: "plain",
    cell: (task) => <StateBadge state={task.state} plain />,
  },
  {
    key: "took",
    head: "Took",
    width: "70px",
    right: true,
    cell: (task) => <Span from={task.started_at ?? task.created_at} to={task.ended_at} />,
  },
  {
    key: "error",
    head: "Error",
    width: "minmax(0, 2fr)",
    phone: "wide",
    cell: (task) => task.error && <span className={css.err}>{visible(task.error.message)}</span>,
  },
];

const pickItems = (page: { items: Task[] }): readonly Task[] => page.items;

/** The items of a fan-out in one state. */
export function ItemList({ run, holder, state }: { run: string; holder: string; state: string }) {
  const items = useRows(
    "/api/v1/runs/{id}/items",
    { params: { path: { id: run }, query: { step: holder, state, limit: 50 } } },
    pickItems,
  );
  return (
    <Loaded of={items} what="The items">
      {(rows) => (
        <Table
          label={`Items that are ${state}`}
          columns={ITEM_COLUMNS}
          rows={rows}
          rowKey={(task) => task.id}
          more={items.more}
          empty={<Empty title="No item is in this state" />}
        />
      )}
    </Loaded>
  );
}

function Values({ task }: { task: Task }) {
  const [view, setView] = useState<"output" | "input" | "log">("output");
  const value = view === "input" ? task.input : task.output;
  return (
    <div className={css.values}>
      <Tabs
        small
        label="Values of the step"
        value={view}
        onChange={setView}
        tabs={[
          { id: "output", name: "Output" },
          { id: "input", name: "Input" },
          { id: "log", name: "Log" },
        ]}
      />
      {view === "log" ? (
        <StepLog task={task.id} live={!isEnded(task.state)} />
      ) : value === undefined || value === null ? (
        <p className="muted">{view === "output" && !isEnded(task.state) ? "Not yet." : "There is none."}</p>
      ) : (
        <Json value={value} name={`${task.id}-${view}.json`} />
      )}
    </div>
  );
}

function Attempts({ task }: { task: Task }) {
  if (!task.attempts?.length) return null;
  return (
    <details className={css.attempts}>
      <summary>{many(task.attempts.length, "attempt")} failed</summary>
      <ol>
        {task.attempts.map((one) => (
          <li key={one.number}>
            <Time at={one.started_at} />, {one.error.category.replaceAll("_", " ")}: {visible(one.error.message)}
          </li>
        ))}
      </ol>
    </details>
  );
}

/** A run that a step started, if it is one of this step. */
function Child({ id, task }: { id: string; task: string }) {
  const child = useGet("/api/v1/runs/{id}", { params: { path: { id } } });
  if (child.data?.parent?.task !== task) return null;
  return (
    <p>
      Runs as{" "}
      <Link to="/runs/$run" params={{ run: id }}>
        {visible(child.data.workflow)}, {id}
      </Link>{" "}
      <StateBadge state={child.data.state} plain /> <Money nano={child.data.cost_nanousd} />
    </p>
  );
}

function Begun({ task }: { task: string }) {
  const asked = useGet(
    "/api/v1/tasks/{id}",
    { params: { path: { id: task } } },
    {
      refetchInterval: (query) => (isEnded((query.state.data as Task | undefined)?.state) ? false : 1_500),
    },
  );
  return (
    <Loaded of={asked} what="The step">
      {(full) => (
        <>
          {full.error && (
            <Notice tone="bad">
              <strong>{full.error.category.replaceAll("_", " ")}</strong>: {visible(full.error.message)}
            </Notice>
          )}
          {full.degraded && full.degraded_reason && (
            <Notice tone="warn">Degraded: {visible(full.degraded_reason)}</Notice>
          )}
          {full.state === "skipped" && full.reason && <Notice tone="calm">Skipped: {visible(full.reason)}</Notice>}
          <Facts
            of={[
              [
                "Worker",
                <Link key="w" to="/workers/$name" params={{ name: full.worker }}>
                  {visible(full.worker)}
                </Link>,
              ],
              ["Answered by", full.provider && `${full.provider}${full.model ? `, ${full.model}` : ""}`],
              ["Attempt", full.max_attempts ? `${full.attempt} of ${full.max_attempts}` : full.attempt],
              ["Begun", <Time key="b" at={full.started_at ?? full.created_at} />],
              [
                "Waited",
                full.started_at && duration(Date.parse(full.started_at) - Date.parse(full.ready_at ?? full.created_at)),
              ],
              ["Took", <Span key="s" from={full.started_at ?? full.created_at} to={full.ended_at} />],
              ["Cost", <Money key="m" nano={full.cost_nanousd} />],
              ["Model calls", `${count(full.calls)}${full.replayed ? `, replayed ${full.replayed} and paid $0` : ""}`],
              [
                "Tokens",
                full.input_tokens + full.output_tokens > 0 &&
                  `${count(full.input_tokens)} sent, ${count(full.output_tokens)} received`,
              ],
              ["Reused from", full.reused],
            ]}
          />
          <Values task={full} />
          <Attempts task={full} />
        </>
      )}
    </Loaded>
  );
}

/** What the definition says about a step. */
function Planned({ node, graph }: { node: Node; graph: Graph | undefined }) {
  const step = node.graph;
  if (!step) return null;
  const block = graph?.blocks.find((one) => one.steps.includes(step));
  const names = step.needs.map((need) => block?.steps.find((one) => one.index === need)?.name).filter(Boolean);
  return (
    <Facts
      of={[
        ["Does", visible(step.what)],
        ["Needs", names.length > 0 && visible(names.join(", "))],
        ["Only if", step.if && <code>{visible(step.if)}</code>],
        ["Runs after", step.run_if !== "success" && step.run_if.replaceAll("_", " ")],
        [
          "For each",
          step.for_each &&
            `${step.for_each.max_parallel} at once${step.for_each.collect ? ", failed items do not stop it" : ""}`,
        ],
        [
          "Repeats",
          step.repeat && `${step.repeat.max} times at most${step.repeat.until ? `, until ${step.repeat.until}` : ""}`,
        ],
        ["On error", step.on_error !== "fail" && step.on_error],
        ["Line", step.line],
      ]}
    />
  );
}

type Props = {
  node: Node;
  run: Run;
  graph: Graph | undefined;
  why: Explained | undefined;
  onRerun: (step: string) => void;
  onClose: () => void;
};

export function Detail({ node, run, graph, why, onRerun, onClose }: Props) {
  const from = outermost(node.path);
  const task = node.task;
  return (
    <aside className={css.panel} aria-label={`Step ${node.path}`}>
      <div className={css.head}>
        <div className={css.title}>
          <h2>{visible(node.path)}</h2>
          <StateBadge state={node.state} />
          {task && <Marks of={task} />}
        </div>
        <Button small kind="bare" icon={X} label="Close the step" onClick={onClose} />
      </div>
      <div className={css.body}>
        {why && !why.ended && why.state !== "running" && <WhyNotice of={{ ...why, run: run.id }} />}
        {node.counts && node.total !== undefined && (
          <div>
            {count(node.total)} items: <CountsWords counts={node.counts} />
          </div>
        )}
        {task ? <Begun key={task.id} task={task.id} /> : <p className="muted">This step has not begun.</p>}
        {node.starts && task && run.children?.slice(0, 50).map((id) => <Child key={id} id={id} task={task.id} />)}
        <details className={css.attempts} open={!task}>
          <summary>In the definition</summary>
          <Planned node={node} graph={graph} />
        </details>
        <div className={css.actions}>
          {task && (
            <Link to="/tasks/$task" params={{ task: task.id }} className={buttonClass("plain", true)}>
              <ExternalLink aria-hidden />
              Open {task.id}
            </Link>
          )}
          {isEnded(run.state) && node.kind !== "end" && (
            <Button
              small
              may="submit"
              icon={RotateCcw}
              hint="Runs this step and all that depend on it again; other results are used again"
              onClick={() => onRerun(from)}
            >
              Rerun from {from === node.path ? "here" : visible(from)}
            </Button>
          )}
        </div>
      </div>
    </aside>
  );
}
