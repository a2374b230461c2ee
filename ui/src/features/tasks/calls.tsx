import { Link } from "@tanstack/react-router";
import type { ModelCall } from "../../api/paths";
import { useRows } from "../../api/query";
import { Mark, StateBadge } from "../../kit/badge";
import { count, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Money, Span } from "../../kit/time";
import { useLiveReads } from "../../live/use-live";

const COLUMNS: Column<ModelCall>[] = [
  {
    key: "model",
    head: "Model",
    width: "minmax(120px, 1.4fr)",
    phone: "wide",
    cell: (call) => (
      <Link to="/calls" search={{ call: call.id } as never}>
        {visible(`${call.provider}, ${call.model}`)}
      </Link>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "96px",
    phone: "plain",
    cell: (call) => <StateBadge state={call.state} plain />,
  },
  {
    key: "tokens",
    head: "Tokens",
    width: "96px",
    right: true,
    cell: (call) => `${count(call.input_tokens)} / ${count(call.output_tokens)}`,
  },
  { key: "took", head: "Took", width: "70px", right: true, cell: (call) => <Span from={call.at} to={call.ended_at} /> },
  { key: "cost", head: "Cost", width: "90px", right: true, cell: (call) => <Money nano={call.cost_nanousd} /> },
];

const RUN_COLUMNS: Column<ModelCall>[] = [
  ...COLUMNS.slice(0, 1),
  {
    key: "task",
    head: "Task",
    width: "90px",
    cell: (call) =>
      call.task ? (
        <Link to="/tasks/$task" params={{ task: call.task }}>
          {call.task}
        </Link>
      ) : (
        <span className="muted">–</span>
      ),
  },
  ...COLUMNS.slice(1),
  {
    key: "reserved",
    head: "Reserved",
    width: "90px",
    right: true,
    phone: "hide",
    cell: (call) => <Money nano={call.reserved_nanousd} />,
  },
  {
    key: "recorded",
    head: "",
    width: "80px",
    phone: "plain",
    cell: (call) =>
      call.recorded && (
        <Mark title="Its answer is recorded: a later attempt gets it again and pays nothing">recorded</Mark>
      ),
  },
];

const pick = (page: { calls: ModelCall[] }): readonly ModelCall[] => page.calls;

/** Calls of models, of one task or of one run. */
export function TaskCalls({ task, run }: { task?: string; run?: string }) {
  const calls = useRows("/api/v1/calls", { params: { query: { task, run } } }, pick);
  // A call changes what its task and its run have cost, too.
  useLiveReads("money", ["/api/v1/calls", run ? "/api/v1/runs/{id}" : "/api/v1/tasks/{id}"], 1_000);
  return (
    <Card title="Calls of models" flush>
      <Loaded of={calls} what="The calls">
        {(rows) => (
          <Table
            label="Calls of models"
            columns={run ? RUN_COLUMNS : COLUMNS}
            rows={rows}
            rowKey={(call) => call.id}
            more={calls.more}
            empty={<Empty title="No call of a model">Nothing was asked of a model, so nothing was paid.</Empty>}
          />
        )}
      </Loaded>
    </Card>
  );
}
