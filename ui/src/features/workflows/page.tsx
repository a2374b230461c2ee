import { Link } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import type { Run, Version } from "../../api/paths";
import { useGet, useRows } from "../../api/query";
import { useChoice } from "../../app/use-choice";
import { useFilters, useParam } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Button } from "../../kit/button";
import { choices } from "../../kit/choice";
import { CopyAs } from "../../kit/copy";
import { Pick } from "../../kit/fields";
import { visible } from "../../kit/format";
import { Card, Page as Frame, Toolbar } from "../../kit/page";
import { Empty, ErrorBox, Loaded, Loading, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Tabs } from "../../kit/tabs";
import { Money, Span, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { Source } from "./source";
import { StartRun } from "./start";
import { Versions } from "./versions";

const GraphView = lazy(() => import("../runs/graph"));
const VIEWS = choices({
  graph: "Graph",
  text: "Text",
  versions: "Versions",
  runs: "Runs",
});

const RUNS: Column<Run>[] = [
  {
    key: "run",
    head: "Run",
    width: "minmax(100px, 1fr)",
    phone: "wide",
    cell: (run) => (
      <Link to="/runs/$run" params={{ run: run.id }}>
        {run.id}
      </Link>
    ),
  },
  { key: "state", head: "State", width: "120px", phone: "plain", cell: (run) => <StateBadge state={run.state} /> },
  { key: "version", head: "Version", width: "80px", right: true, cell: (run) => run.version ?? "–" },
  { key: "started", head: "Started", width: "minmax(100px, 1fr)", cell: (run) => <Time at={run.created_at} /> },
  {
    key: "took",
    head: "Took",
    width: "90px",
    right: true,
    cell: (run) => <Span from={run.created_at} to={run.ended_at} />,
  },
  { key: "cost", head: "Cost", width: "100px", right: true, cell: (run) => <Money nano={run.cost_nanousd} /> },
];

const pickRuns = (page: { runs: Run[] }): readonly Run[] => page.runs;

function RunsOf({ name }: { name: string }) {
  const runs = useRows("/api/v1/runs", { params: { query: { workflow: name } } }, pickRuns);
  useLiveReads("runs", ["/api/v1/runs"], 1_500);
  return (
    <Card flush>
      <Loaded of={runs} what="The runs">
        {(rows) => (
          <Table
            label={`Runs of ${name}`}
            columns={RUNS}
            rows={rows}
            rowKey={(run) => run.id}
            more={runs.more}
            empty={<Empty icon={Play} title="It never ran" command={`kapelle run ${name}`} />}
          />
        )}
      </Loaded>
    </Card>
  );
}

function GraphOf({ name, number }: { name: string; number: string }) {
  const graph = useGet("/api/v1/workflows/{name}/{number}/graph", { params: { path: { name, number } } });
  return (
    <Card flush>
      <Loaded of={graph} what="The graph">
        {(data) => (
          <Suspense fallback={<Loading what="the graph" />}>
            <GraphView graph={data} />
          </Suspense>
        )}
      </Loaded>
    </Card>
  );
}

function TextOf({ name, number }: { name: string; number: string }) {
  const text = useGet("/api/v1/workflows/{name}/{number}", { params: { path: { name, number } as never } });
  return (
    <Loaded of={text} what="The text">
      {(data) => (
        <Source
          key={`${name} ${number}`}
          source={data.source}
          file={data.file}
          onPublished={() => void text.refetch()}
        />
      )}
    </Loaded>
  );
}

export function Page() {
  const name = useParam("name");
  const [search, set] = useFilters();
  const [starting, setStarting] = useState(false);
  const catalog = useGet("/api/v1/workflows/catalog");
  const stored = useGet("/api/v1/workflows/{name}", { params: { path: { name }, query: { limit: 100 } as never } });
  const entry = catalog.data?.workflows.find((one) => one.name === name);
  const versions: Version[] = stored.data?.versions ?? [];
  const newest = versions[0]?.number;
  const number = search.version || (newest === undefined ? "newest" : String(newest));
  const [view, setView] = useChoice("view", VIEWS);
  const none = newest === undefined && stored.error !== null && !entry;
  return (
    <Frame
      title={visible(name)}
      badge={
        <>
          {entry?.last && <StateBadge state={entry.last.state} word={`last run ${entry.last.state}`} />}
          {entry?.unsaved && newest !== undefined && <Mark tone="warn">the file differs from version {newest}</Mark>}
        </>
      }
      sub={
        <>
          {entry?.description && visible(entry.description)}
          {entry?.file && (
            <>
              {" "}
              <span className="mono">{visible(entry.file)}</span>
            </>
          )}
        </>
      }
      actions={
        <>
          <CopyAs
            recipe={{
              method: "POST",
              path: "/api/v1/runs",
              body: { workflow: name, inputs: {} },
              cli: `run ${name}`,
              python: `run = client.runs.start("${name}", {})\nprint(client.runs.wait(run.id).outputs)`,
              typescript: `const run = await client.runs.start("${name}", {});\nconsole.log((await client.runs.wait(run.id)).outputs);`,
            }}
          />
          <Button may="submit" kind="primary" icon={Play} onClick={() => setStarting(true)}>
            Start a run
          </Button>
        </>
      }
    >
      {entry?.problem && <Notice tone="bad">{visible(entry.problem)}</Notice>}
      {none && <ErrorBox error={stored.error} retry={() => void stored.refetch()} />}
      <Tabs label="Views of the workflow" tabs={VIEWS} value={view} onChange={setView} />
      {versions.length > 1 && (view === "graph" || view === "text") && (
        <Toolbar>
          <Pick
            label="Version"
            value={number}
            choices={versions.map((one) => ({
              value: String(one.number),
              label: one.number === newest ? `${one.number}, newest` : String(one.number),
            }))}
            onChange={(version) => set({ version })}
          />
        </Toolbar>
      )}
      {view === "graph" && !none && <GraphOf name={name} number={number} />}
      {view === "text" && !none && <TextOf name={name} number={number} />}
      {view === "versions" && <Versions key={versions.length} name={name} versions={versions} />}
      {view === "runs" && <RunsOf name={name} />}
      {starting && (
        <StartRun
          name={name}
          version={search.version ? Number(search.version) : undefined}
          inputs={entry?.inputs}
          onClose={() => setStarting(false)}
        />
      )}
    </Frame>
  );
}
