import { Link, useNavigate } from "@tanstack/react-router";
import { Ban, Play, RotateCcw } from "lucide-react";
import { useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { BulkResult, Run } from "../../api/paths";
import { reread, useRows } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Mark, StateBadge } from "../../kit/badge";
import { Bulk } from "../../kit/bulk";
import { Button, buttonClass } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { CountsBar } from "../../kit/counts";
import { CheckField, Pick, SearchField } from "../../kit/fields";
import { many, visible } from "../../kit/format";
import { Card, Page as Frame, Grow, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { SINCE, sinceTime } from "../../kit/since";
import { type Column, Table } from "../../kit/table";
import { Money, Span, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import css from "./runs.module.css";
import { Views } from "./views";

const STATES = ["", "running", "failed", "succeeded", "cancelled", "cancelling", "failing"].map((value) => ({
  value,
  label: value || "any state",
}));
const GIVEN = [
  { name: "All", search: {} },
  { name: "Open", search: { state: "running" } },
  { name: "Failed today", search: { state: "failed", since: "24h" } },
  { name: "Degraded", search: { degraded: "true" } },
];

const COLUMNS: Column<Run>[] = [
  {
    key: "run",
    head: "Run",
    width: "minmax(180px, 1.6fr)",
    phone: "wide",
    cell: (run) => (
      <span className={css.name}>
        <Link to="/runs/$run" params={{ run: run.id }}>
          {visible(run.workflow)}
        </Link>
        <small>
          {run.id}
          {run.version !== undefined && `, version ${run.version}`}
        </small>
      </span>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "120px",
    phone: "plain",
    cell: (run) => <StateBadge state={run.paused && run.state === "running" ? "paused" : run.state} />,
  },
  {
    key: "steps",
    head: "Steps",
    width: "minmax(70px, 110px)",
    phone: "hide",
    cell: (run) => (run.steps ? <CountsBar counts={run.steps} /> : <span className="muted">–</span>),
  },
  { key: "started", head: "Started", width: "minmax(90px, 110px)", cell: (run) => <Time at={run.created_at} age /> },
  {
    key: "took",
    head: "Took",
    width: "90px",
    right: true,
    cell: (run) => <Span from={run.created_at} to={run.ended_at} />,
  },
  { key: "cost", head: "Cost", width: "100px", right: true, cell: (run) => <Money nano={run.cost_nanousd} /> },
  {
    key: "marks",
    head: "Notes",
    width: "minmax(120px, 1.4fr)",
    phone: "wide",
    cell: (run) => (
      <span className={css.marks}>
        {!!run.degraded && (
          <Mark tone="warn" title="Steps that answered in lower quality than requested">
            {run.degraded} degraded
          </Mark>
        )}
        {!!run.replayed && (
          <Mark title="Calls answered from recordings, which cost nothing">{run.replayed} replayed, $0</Mark>
        )}
        {run.recorded && <Mark>recorded</Mark>}
        {run.rerun_of && <Mark title={`Repeats ${run.rerun_of}`}>rerun</Mark>}
        {run.error && (
          <span className={css.err} title={run.error.message}>
            {visible(run.error.message)}
          </span>
        )}
      </span>
    ),
  },
];

const pick = (page: { runs: Run[] }): readonly Run[] => page.runs;

function rowsOf(marked: ReadonlySet<string>): string[] {
  return [...marked];
}

export function Page() {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const [marked, setMarked] = useState<Set<string>>(new Set());
  const [bulk, setBulk] = useState<"cancel" | "rerun" | null>(null);
  const query = {
    state: search.state,
    workflow: search.workflow,
    q: search.q,
    degraded: search.degraded,
    since: sinceTime(search.since),
  };
  const runs = useRows("/api/v1/runs", { params: { query } }, pick);
  useLiveReads("runs", ["/api/v1/runs"], 1_500);
  const ask = async (dryRun: boolean): Promise<BulkResult> =>
    unwrap(
      api.POST("/api/v1/runs/bulk", {
        body: { action: bulk ?? "cancel", ids: rowsOf(marked), dry_run: dryRun },
        headers: { "idempotency-key": once() },
      }),
    );
  const filtered = Object.values(query).some(Boolean);
  return (
    <Frame
      title="Runs"
      sub="Every run of a workflow, newest first. The list follows what happens."
      actions={
        <>
          <CopyAs
            recipe={{
              method: "GET",
              path: "/api/v1/runs",
              cli: "runs list",
              python: "for run in client.runs.list():\n    print(run.id, run.state)",
              typescript: "console.log(await client.runs.list());",
            }}
          />
          <Link to="/workflows" className={buttonClass("primary")}>
            <Play aria-hidden />
            Start a run
          </Link>
        </>
      }
    >
      <Views
        place="runs"
        given={GIVEN}
        search={search}
        onChoose={(view) => set({ state: "", workflow: "", q: "", degraded: "", since: "", ...view })}
      />
      <Toolbar label="Filters">
        <SearchField label="Id, workflow or error" value={search.q ?? ""} onChange={(q) => set({ q })} />
        <Pick label="State" value={search.state ?? ""} choices={STATES} onChange={(state) => set({ state })} />
        <Pick label="Started in" value={search.since ?? ""} choices={SINCE} onChange={(since) => set({ since })} />
        <CheckField
          label="Degraded only"
          value={search.degraded === "true"}
          onChange={(on) => set({ degraded: on ? "true" : "" })}
        />
        <Grow />
        {marked.size > 0 && (
          <>
            <span className="muted">{many(marked.size, "run")} marked</span>
            <Button small may="submit" icon={RotateCcw} onClick={() => setBulk("rerun")}>
              Rerun
            </Button>
            <Button small may="submit" kind="danger" icon={Ban} onClick={() => setBulk("cancel")}>
              Cancel
            </Button>
          </>
        )}
      </Toolbar>
      <Card flush>
        <Loaded of={runs} what="The runs">
          {(rows) => (
            <Table
              label="Runs"
              columns={COLUMNS}
              rows={rows}
              rowKey={(run) => run.id}
              onOpen={(run) => void navigate({ to: "/runs/$run", params: { run: run.id } })}
              marking={{ marked, onMark: setMarked }}
              more={runs.more}
              empty={
                filtered ? (
                  <Empty
                    title="No run matches these filters"
                    action={
                      <Button onClick={() => set({ state: "", workflow: "", q: "", degraded: "", since: "" })}>
                        Show all runs
                      </Button>
                    }
                  />
                ) : (
                  <Empty icon={Play} title="No runs yet" command="kapelle run workflows/first-look.yaml">
                    A run is one execution of a workflow: its steps, their answers, and what they cost. Start one here,
                    or from a shell:
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Card>
      {bulk && (
        <Bulk
          title={bulk === "cancel" ? "Cancel runs" : "Rerun runs"}
          yes={bulk === "cancel" ? "Cancel" : "Rerun"}
          noun="run"
          danger={bulk === "cancel"}
          price={bulk === "rerun" ? "Results that succeeded are used again; all of them together cost" : undefined}
          ask={ask}
          onClose={() => setBulk(null)}
          onDone={() => {
            setMarked(new Set());
            reread("/api/v1/runs");
          }}
        />
      )}
    </Frame>
  );
}
