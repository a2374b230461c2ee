import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useGet } from "../../api/query";
import { CountsWords } from "../../kit/counts";
import { count, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Empty, Loaded, Notice } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import { Duration, reason, Span } from "../../kit/time";
import { type Lane, lanes, limited } from "./model";
import css from "./queues.module.css";

const OPEN = "ready,scheduled,retrying,held,parked,running";
const MOST = 1_000;

const COLUMNS: Column<Lane>[] = [
  {
    key: "lane",
    head: "Lane",
    width: "minmax(130px, 1.2fr)",
    phone: "wide",
    cell: (lane) => (
      <span>
        <Link to="/workers/$name" params={{ name: lane.worker }} className={css.name}>
          {visible(lane.worker)}
        </Link>
        {lane.key && <span className="muted"> key {visible(lane.key)}</span>}
      </span>
    ),
  },
  {
    key: "states",
    head: "Tasks",
    width: "minmax(140px, 1.3fr)",
    phone: "wide",
    cell: (lane) => <CountsWords counts={lane.states} />,
  },
  {
    key: "oldest",
    head: "Oldest waits",
    width: "100px",
    right: true,
    cell: (lane) => (lane.oldest ? <Span from={lane.oldest} /> : <span className="muted">–</span>),
  },
  {
    key: "why",
    head: "Why",
    width: "minmax(200px, 3fr)",
    phone: "wide",
    cell: (lane) => (
      <ul className={css.reasons}>
        {lane.reasons.slice(0, 3).map((one) => (
          <li key={one.why}>
            {one.tasks > 1 && `${count(one.tasks)} × `}
            {reason(one.why)}
          </li>
        ))}
        {lane.reasons.length > 3 && <li className="muted">and {lane.reasons.length - 3} other reasons</li>}
        {lane.reasons.length === 0 && <li className="muted">Nothing of it waits</li>}
      </ul>
    ),
  },
];

/** What waits in a queue, worker by worker, and for what. */
export function Lanes({ queue }: { queue: string }) {
  const tasks = useGet(
    "/api/v1/tasks",
    { params: { query: { queue, state: OPEN, steps: "true", limit: MOST } } },
    { keep: true, refetchInterval: 3_000 },
  );
  const providers = useGet("/api/v1/providers", undefined, { refetchInterval: 5_000 });
  const rows = useMemo(() => lanes(tasks.data?.tasks ?? []), [tasks.data]);
  const rates = limited(providers.data?.aliases ?? []);
  return (
    <Card
      title={`Lanes of ${visible(queue)}`}
      flush
      actions={
        <Link to="/tasks" search={{ queue, steps: "true" } as never}>
          All its tasks
        </Link>
      }
    >
      {rates.map((one) => (
        <Notice key={one.provider} tone="warn">
          The rate limit of {visible(one.provider)} lets the next call through in <Duration ms={one.ms} />.
        </Notice>
      ))}
      <Loaded of={tasks} what="The lanes">
        {(data) => (
          <>
            <Table
              label={`Lanes of ${queue}`}
              columns={COLUMNS}
              rows={rows}
              rowKey={(lane) => `${lane.worker} ${lane.key ?? ""}`}
              empty={
                <Empty title="Nothing waits here and nothing runs">
                  A lane is the open tasks of one worker, or of one concurrency key. Its oldest wait and its reason are
                  shown while it has some.
                </Empty>
              }
            />
            {data.next_cursor && (
              <Notice tone="calm">Of more than {count(MOST)} open tasks, the newest were looked at.</Notice>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}
