import { Link, useNavigate } from "@tanstack/react-router";
import { Ban, FlaskConical, ListChecks } from "lucide-react";
import { useState } from "react";
import { api, once, unwrap } from "../../api/client";
import type { BulkResult, Task } from "../../api/paths";
import { reread, useRows } from "../../api/query";
import { useFilters } from "../../app/use-filters";
import { Marks, StateBadge } from "../../kit/badge";
import { Bulk } from "../../kit/bulk";
import { Button, buttonClass } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { CheckField, Pick, SearchField } from "../../kit/fields";
import { many, visible } from "../../kit/format";
import { Card, Page as Frame, Grow, Toolbar } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { SINCE, sinceTime } from "../../kit/since";
import { type Column, Table } from "../../kit/table";
import { Money, reason, Span, Time } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";
import { Views } from "../runs/views";
import { paid } from "./paid";
import css from "./tasks.module.css";

const STATES = [
  "",
  "running",
  "ready",
  "scheduled",
  "retrying",
  "held",
  "parked",
  "waiting",
  "failed",
  "succeeded",
  "cancelled",
  "discarded",
  "skipped",
].map((value) => ({ value, label: value || "any state" }));
const CATEGORIES = [
  "",
  "invalid_input",
  "invalid_output",
  "rate_limited",
  "timeout",
  "unavailable",
  "model_required",
  "provider",
  "budget",
  "cancelled",
  "crashed",
  "lease_lost",
  "internal",
].map((value) => ({ value, label: value ? value.replaceAll("_", " ") : "any error" }));
const NONE = { state: "", q: "", since: "", category: "", worker: "", queue: "", steps: "", degraded: "", dead: "" };
const GIVEN = [
  { name: "Single tasks", search: {} },
  { name: "With steps of runs", search: { steps: "true" } },
  { name: "Waiting", search: { state: "ready,scheduled,retrying,held,parked,waiting", steps: "true" } },
  { name: "Retrying", search: { state: "retrying", steps: "true" } },
  { name: "Failed today", search: { state: "failed", since: "24h", steps: "true" } },
];

const COLUMNS: Column<Task>[] = [
  {
    key: "task",
    head: "Task",
    width: "minmax(170px, 1.5fr)",
    phone: "wide",
    cell: (task) => (
      <span className={css.name}>
        <Link to="/tasks/$task" params={{ task: task.id }}>
          {visible(task.worker)}
        </Link>
        <small>{task.id}</small>
        {task.run && (
          <small>
            step {visible(task.step ?? "")} of{" "}
            <Link to="/runs/$run" params={{ run: task.run }}>
              {task.run}
            </Link>
          </small>
        )}
      </span>
    ),
  },
  { key: "state", head: "State", width: "120px", phone: "plain", cell: (task) => <StateBadge state={task.state} /> },
  { key: "queue", head: "Queue", width: "minmax(70px, 110px)", phone: "hide", cell: (task) => visible(task.queue) },
  { key: "attempt", head: "Attempts", width: "70px", right: true, phone: "hide", cell: (task) => task.attempt },
  { key: "made", head: "Submitted", width: "minmax(84px, 100px)", cell: (task) => <Time at={task.created_at} age /> },
  {
    key: "took",
    head: "Took",
    width: "84px",
    right: true,
    cell: (task) => <Span from={task.started_at ?? task.created_at} to={task.ended_at} />,
  },
  {
    key: "cost",
    head: "Cost",
    width: "94px",
    right: true,
    cell: (task) =>
      paid(task) === null ? (
        <span className="muted" title="Failed attempts may have cost something: its page says what">
          –
        </span>
      ) : (
        <Money nano={paid(task)} />
      ),
  },
  {
    key: "why",
    head: "Why, and notes",
    width: "minmax(140px, 1.8fr)",
    phone: "wide",
    cell: (task) => (
      <span className={css.why}>
        <Marks of={task} />
        {task.error && (
          <span className={css.err} title={task.error.message}>
            {task.error.category.replaceAll("_", " ")}: {visible(task.error.message)}
          </span>
        )}
        {!task.error && task.reason && <span className={css.reason}>{reason(task.reason)}</span>}
      </span>
    ),
  },
];

const pick = (page: { tasks: Task[] }): readonly Task[] => page.tasks;

export function Page() {
  const [search, set] = useFilters();
  const navigate = useNavigate();
  const [marked, setMarked] = useState<Set<string>>(new Set());
  const [bulk, setBulk] = useState(false);
  const { state, q, category, worker, queue, steps, degraded, dead } = search;
  const query = { state, q, category, worker, queue, steps, degraded, dead, since: sinceTime(search.since) };
  const tasks = useRows("/api/v1/tasks", { params: { query } }, pick);
  useLiveReads("tasks", ["/api/v1/tasks"], 1_500);
  const ask = (dryRun: boolean): Promise<BulkResult> =>
    unwrap(
      api.POST("/api/v1/tasks/bulk", {
        body: { action: "cancel", ids: [...marked], dry_run: dryRun },
        headers: { "idempotency-key": once() },
      }),
    );
  return (
    <Frame
      title="Tasks"
      sub="One call of a worker each, alone or as a step of a run."
      actions={
        <>
          <CopyAs recipe={{ method: "GET", path: "/api/v1/tasks", cli: "tasks list" }} />
          <Link to="/try" className={buttonClass("primary")}>
            <FlaskConical aria-hidden />
            Submit a task
          </Link>
        </>
      }
    >
      <Views place="tasks" given={GIVEN} search={search} onChoose={(view) => set({ ...NONE, ...view })} />
      <Toolbar label="Filters">
        <SearchField label="Id, worker, key or error" value={q ?? ""} onChange={(next) => set({ q: next })} />
        <Pick
          label="State"
          value={state?.includes(",") ? "" : (state ?? "")}
          choices={STATES}
          onChange={(next) => set({ state: next })}
        />
        <Pick label="Error" value={category ?? ""} choices={CATEGORIES} onChange={(next) => set({ category: next })} />
        <Pick label="Submitted in" value={search.since ?? ""} choices={SINCE} onChange={(since) => set({ since })} />
        <CheckField
          label="Steps of runs too"
          value={steps === "true"}
          onChange={(on) => set({ steps: on ? "true" : "" })}
        />
        {(worker || queue) && (
          <Button small onClick={() => set({ worker: "", queue: "" })}>
            {visible(worker ? `worker ${worker}` : `queue ${queue}`)} ×
          </Button>
        )}
        <Grow />
        {marked.size > 0 && (
          <>
            <span className="muted">{many(marked.size, "task")} marked</span>
            <Button small may="submit" kind="danger" icon={Ban} onClick={() => setBulk(true)}>
              Cancel
            </Button>
          </>
        )}
      </Toolbar>
      <Card flush>
        <Loaded of={tasks} what="The tasks">
          {(rows) => (
            <Table
              label="Tasks"
              columns={COLUMNS}
              rows={rows}
              rowKey={(task) => task.id}
              onOpen={(task) => void navigate({ to: "/tasks/$task", params: { task: task.id } })}
              marking={{ marked, onMark: setMarked }}
              more={tasks.more}
              empty={
                Object.values(query).some(Boolean) ? (
                  <Empty
                    title="No task matches these filters"
                    action={<Button onClick={() => set(NONE)}>Show all tasks</Button>}
                  />
                ) : (
                  <Empty
                    icon={ListChecks}
                    title="No tasks yet"
                    command={`kapelle submit keywords '{"text": "The reading room needs light."}' --wait`}
                  >
                    A task is one call of a worker. Submit one on the page Try, or from a shell:
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Card>
      {bulk && (
        <Bulk
          title="Cancel tasks"
          yes="Cancel"
          noun="task"
          danger
          ask={ask}
          onClose={() => setBulk(false)}
          onDone={() => {
            setMarked(new Set());
            reread("/api/v1/tasks");
          }}
        />
      )}
    </Frame>
  );
}
