import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Graph, Run } from "../../api/paths";
import { useGet } from "../../api/query";
import { useChoice } from "../../app/use-choice";
import { useFilters, useParam } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { choices } from "../../kit/choice";
import { CountsWords } from "../../kit/counts";
import { count, visible } from "../../kit/format";
import { Card, Columns, Facts, Page as Frame, Stat, Stats } from "../../kit/page";
import { ErrorBox, Loaded, Notice } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { Tabs } from "../../kit/tabs";
import { Json } from "../../kit/text";
import { Money, Span, Time } from "../../kit/time";
import { TaskCalls } from "../tasks/calls";
import { WhyNotice } from "../tasks/waiting";
import { Actions } from "./actions";
import { Compare } from "./compare";
import { Journal } from "./journal";
import { RunLogs } from "./logs";
import { Rerun } from "./rerun";
import { Steps } from "./steps";
import { Texts } from "./texts";
import { useGraph, useRun, useRunStore, useTree } from "./use-run";

const VIEWS = choices({
  outline: "Outline",
  graph: "Graph",
  journal: "Journal",
  calls: "Calls",
  logs: "Logs",
  text: "Text",
  values: "Input and output",
  compare: "Compare",
});

function Figures({ run }: { run: Run }) {
  const steps = run.steps ?? {};
  return (
    <Stats>
      <Stat name="Started">
        <Time at={run.created_at} />
      </Stat>
      <Stat name="Took">
        <Span from={run.created_at} to={run.ended_at} />
      </Stat>
      <Stat name="Steps" note={<CountsWords counts={steps} />}>
        {count(Object.values(steps).reduce<number>((all, one) => all + (one ?? 0), 0))}
      </Stat>
      <Stat
        name="Cost"
        note={run.replayed ? `replayed ${count(run.replayed)} calls, paid $0` : `${count(run.calls)} model calls`}
      >
        <Money nano={run.cost_nanousd} />
      </Stat>
      <Stat name="Tokens" note="sent and received">
        {count(run.input_tokens)} / {count(run.output_tokens)}
      </Stat>
    </Stats>
  );
}

function Origin({ run }: { run: Run }) {
  return (
    <>
      <span className="mono">{run.id}</span>
      {run.version !== undefined && (
        <>
          {" · "}
          <Link to="/workflows/$name" params={{ name: run.workflow }}>
            version {run.version}
          </Link>
        </>
      )}
      {run.strategy && ` · ${run.strategy}`}
      {run.started_by && ` · started by ${visible(run.started_by)}`}
      {run.rerun_of && (
        <>
          {" · repeats "}
          <Link to="/runs/$run" params={{ run: run.rerun_of }}>
            {run.rerun_of}
          </Link>
        </>
      )}
      {run.parent && (
        <>
          {" · started by "}
          <Link to="/runs/$run" params={{ run: run.parent.run }}>
            {run.parent.run}
          </Link>
        </>
      )}
    </>
  );
}

type BodyProps = { run: Run; graph: Graph | undefined; rerun: string | null; onRerun: (step: string | null) => void };

function Body({ run, graph, rerun, onRerun }: BodyProps) {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const store = useRunStore(run.id, run);
  const nodes = useTree(store, graph);
  const ended = isEnded(run.state);
  const explained = useGet("/api/v1/runs/{id}/explain", { params: { path: { id: run.id } } }, { enabled: !ended });
  const compare = search.with ?? run.rerun_of ?? "";
  const [view, setView] = useChoice("view", VIEWS);
  const at = search.at === undefined || search.at === "" ? null : Number(search.at);
  const views = VIEWS.filter((one) => one.id !== "compare" || compare);
  const waiting = ended
    ? undefined
    : explained.data?.steps.find(
        (one) =>
          !one.ended &&
          ["parked", "held", "waiting", "ready"].includes(one.state) &&
          one.waiting &&
          one.waiting.for !== "steps" &&
          one.waiting.for !== "items",
      );
  return (
    <>
      {run.error && (
        <Notice tone="bad">
          <strong>{run.error.category.replaceAll("_", " ")}</strong>: {visible(run.error.message)}
        </Notice>
      )}
      {run.state === "cancelled" && run.reason && <Notice tone="calm">Cancelled: {visible(run.reason)}</Notice>}
      {run.paused && !ended && (
        <WhyNotice
          of={{ why: "The run is paused: nothing further begins", waiting: { for: "run_paused" }, run: run.id }}
        />
      )}
      {!run.paused && waiting && <WhyNotice of={{ ...waiting, why: `${waiting.step}: ${waiting.why}`, run: run.id }} />}
      <Figures run={run} />
      <Tabs label="Views of the run" tabs={views} value={view} onChange={setView} />
      {(view === "outline" || view === "graph") && (
        <Steps
          run={run}
          graph={graph}
          nodes={nodes}
          store={store}
          view={view}
          selected={search.step ?? ""}
          at={at}
          explained={explained.data?.steps}
          onSelect={(step) => set({ step })}
          onMoment={(seq) => set({ at: seq === null ? "" : String(seq) })}
          onTask={(task) => void navigate({ to: "/tasks/$task", params: { task } })}
          onRerun={onRerun}
        />
      )}
      {view === "journal" && (
        <Journal id={run.id} seq={run.seq} onMoment={(seq) => set({ view: "", at: String(seq) })} />
      )}
      {view === "calls" && <TaskCalls run={run.id} />}
      {view === "logs" && <RunLogs store={store} live={!ended} />}
      {view === "text" && <Texts store={store} outputs={run.outputs} />}
      {view === "values" && (
        <Columns>
          <Card title="Input">
            {run.inputs === undefined ? (
              <p className="muted">This server does not tell the input of a run.</p>
            ) : (
              <Json value={run.inputs} name={`${run.id}-input.json`} />
            )}
          </Card>
          <Card title="Output">
            {run.outputs == null ? (
              <p className="muted">{ended ? "There is none." : "Not yet."}</p>
            ) : (
              <Json value={run.outputs} name={`${run.id}-output.json`} />
            )}
          </Card>
        </Columns>
      )}
      {view === "compare" && compare && <Compare store={store} run={run} with={compare} />}
      {!!run.children?.length && (
        <Card title="Runs that it started">
          <Facts
            of={run.children.map((child): [string, React.ReactNode] => [
              child,
              <Link key={child} to="/runs/$run" params={{ run: child }}>
                Open
              </Link>,
            ])}
          />
        </Card>
      )}
      {rerun !== null && <Rerun run={run} nodes={nodes} from={rerun} onClose={() => onRerun(null)} />}
    </>
  );
}

export function Page() {
  const id = useParam("run");
  const run = useRun(id);
  const graph = useGraph(id);
  const known = run.data;
  const [rerun, setRerun] = useState<string | null>(null);
  return (
    <Frame
      title={known ? visible(known.workflow) : id}
      badge={
        known && (
          <>
            <StateBadge state={known.paused && !isEnded(known.state) ? "paused" : known.state} />
            {!!known.degraded && (
              <Mark tone="warn" title="Steps that answered in lower quality than requested">
                {known.degraded} degraded
              </Mark>
            )}
            {known.recorded && <Mark>recorded</Mark>}
            {!!known.replayed && <Mark>replayed {known.replayed}, paid $0</Mark>}
          </>
        )
      }
      sub={known ? <Origin run={known} /> : <span className="mono">{id}</span>}
      actions={known && <Actions run={known} graph={graph.data} onRerun={() => setRerun("")} />}
    >
      {run.error && !known ? (
        <ErrorBox error={run.error} retry={() => void run.refetch()} />
      ) : (
        <Loaded of={run} what="The run">
          {(data) => <Body key={id} run={data} graph={graph.data} rerun={rerun} onRerun={setRerun} />}
        </Loaded>
      )}
    </Frame>
  );
}
