import { Link } from "@tanstack/react-router";
import { RotateCcw, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import type { DeadGroup, Schema, Task } from "../../api/paths";
import { useGet, useRows } from "../../api/query";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { count, many, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { ErrorBox, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Text } from "../../kit/text";
import { Money, Time } from "../../kit/time";
import type { Act } from "./act";
import css from "./dead.module.css";
import { cliFor, keyOf, retryPrice } from "./model";

/** What a task has cost by the ledger: null while that is not known. */
type Paid = (task: Task) => number | null;

function Price({ task, paid }: { task: Task; paid: number | null }) {
  const calls = useGet(
    "/api/v1/calls",
    { params: { query: { task: task.id, limit: 1_000 } } },
    { enabled: paid === null || paid > 0 },
  );
  if (paid === 0) return <span className="muted">$0, it asked no model</span>;
  if (!calls.data) return <span className="muted">being counted</span>;
  const price = retryPrice(calls.data.calls);
  return (
    <span>
      {price.fresh > 0 ? (
        <>
          about <Money nano={price.nanousd} /> for {many(price.fresh, "fresh call")}
        </>
      ) : (
        "$0"
      )}
      {price.replayed > 0 && `, ${many(price.replayed, "call")} replayed for $0`}
    </span>
  );
}

function columns(paid: Paid): Column<Task>[] {
  return [
    {
      key: "task",
      head: "Task",
      width: "minmax(90px, 130px)",
      phone: "wide",
      cell: (task) => (
        <Link to="/tasks/$task" params={{ task: task.id }}>
          {task.id}
        </Link>
      ),
    },
    { key: "ended", head: "Failed", width: "minmax(84px, 110px)", cell: (task) => <Time at={task.ended_at} age /> },
    { key: "attempts", head: "Attempts", width: "70px", right: true, cell: (task) => task.attempt },
    {
      key: "paid",
      head: "Paid so far",
      width: "96px",
      right: true,
      cell: (task) => <Money nano={paid(task)} />,
    },
    {
      key: "price",
      head: "A retry would pay",
      width: "minmax(150px, 1.2fr)",
      phone: "wide",
      cell: (task) => <Price task={task} paid={paid(task)} />,
    },
    {
      key: "error",
      head: "Error",
      width: "minmax(140px, 2fr)",
      phone: "wide",
      cell: (task) => <span className={css.message}>{visible(task.error?.message ?? "")}</span>,
    },
  ];
}

const pick = (page: { tasks: Schema<"Task">[] }): readonly Task[] => page.tasks as Task[];

/** Rows of the ledger that are read at once. */
const MOST = 1_000;

/** The tasks that failed with one error. */
export function GroupCard({ group, onAct }: { group: DeadGroup; onAct: (act: Act) => void }) {
  const [marked, setMarked] = useState<Set<string>>(new Set());
  const tasks = useRows("/api/v1/dead", { params: { query: { worker: group.worker } } }, pick);
  const cost = useGet("/api/v1/cost", { params: { query: { by: "task", limit: MOST } } }, { keep: true });
  const paid = useMemo((): Paid => {
    const known = new Map(cost.data?.rows.map((row) => [row.name, row.cost_nanousd]));
    const rest = cost.data && cost.data.rows.length < MOST ? 0 : null;
    return (task) => known.get(task.id) ?? rest;
  }, [cost.data]);
  const ids = useMemo(() => new Set(group.ids), [group.ids]);
  const chosen = marked.size > 0 ? group.ids.filter((id) => marked.has(id)) : group.ids;
  const some = marked.size > 0 ? `${count(chosen.length)} marked` : "all";
  const act = (action: Act["action"]): void => onAct({ action, ids: chosen, group: keyOf(group) });
  return (
    <Card
      title={`${visible(group.worker)}: ${group.category.replaceAll("_", " ")}`}
      flush
      actions={
        <>
          <CopyAs
            recipe={{
              method: "POST",
              path: "/api/v1/dead/bulk",
              body: { action: "retry", ids: chosen.slice(0, 1_000) },
              cli: cliFor("retry", chosen),
              python: `for task in client.dead.list(worker=${JSON.stringify(group.worker)}):\n    client.dead.retry(task.id)`,
              typescript: `for (const task of await client.dead.list({ worker: ${JSON.stringify(group.worker)} })) {\n  await client.dead.retry(task.id);\n}`,
            }}
          />
          <Button may="operate" icon={RotateCcw} onClick={() => act("retry")}>
            Retry {some}
          </Button>
          <Button may="operate" kind="danger" icon={Trash2} onClick={() => act("discard")}>
            Discard {some}
          </Button>
        </>
      }
    >
      <Loaded of={tasks} what="The tasks">
        {(rows) => {
          const first = rows.find((task) => ids.has(task.id));
          return (
            <>
              <Table
                label={`Dead letters of ${group.worker}`}
                columns={columns(paid)}
                rows={rows.filter((task) => ids.has(task.id))}
                rowKey={(task) => task.id}
                marking={{ marked, onMark: setMarked }}
                more={tasks.more}
                empty={
                  <div className={css.error}>
                    <ErrorBox error={new Error("The tasks of this error are further down the list: load more.")} />
                  </div>
                }
              />
              {first?.error && (
                <div className={css.error}>
                  <h3>The error, as the newest of them has it</h3>
                  <Text text={first.error.message} name={`${first.id}-error.txt`} />
                </div>
              )}
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}
