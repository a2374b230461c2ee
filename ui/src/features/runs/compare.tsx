import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { Run } from "../../api/paths";
import { StateBadge } from "../../kit/badge";
import { duration, money, visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { ErrorBox, Loaded } from "../../kit/said";
import { type Column, Table } from "../../kit/table";
import type { Row } from "./model/tree";
import css from "./run.module.css";
import { RunStore } from "./store";
import { useRun, useVersion } from "./use-run";

type Pair = { path: string; mine?: Row; other?: Row };

function took(row: Row | undefined): number | null {
  return row?.ended_at ? Date.parse(row.ended_at) - Date.parse(row.started_at ?? row.created_at) : null;
}

function Change({ mine, other, tell }: { mine: number | null; other: number | null; tell: (value: number) => string }) {
  if (mine === null || other === null) return <span className="muted">{mine === null ? "–" : tell(mine)}</span>;
  const change = mine - other;
  return (
    <span className="num">
      {tell(mine)}{" "}
      {change !== 0 && (
        <span className={change > 0 ? css.more : css.less}>
          ({change > 0 ? "+" : "-"}
          {tell(Math.abs(change))})
        </span>
      )}
    </span>
  );
}

const COLUMNS: Column<Pair>[] = [
  {
    key: "step",
    head: "Step",
    width: "minmax(140px, 1.5fr)",
    phone: "wide",
    cell: (pair) => <code>{visible(pair.path)}</code>,
  },
  {
    key: "mine",
    head: "This run",
    width: "110px",
    cell: (pair) => <StateBadge state={pair.mine?.state ?? "pending"} plain />,
  },
  {
    key: "other",
    head: "The other",
    width: "110px",
    cell: (pair) => <StateBadge state={pair.other?.state ?? "pending"} plain />,
  },
  {
    key: "time",
    head: "Took",
    width: "minmax(110px, 1fr)",
    right: true,
    cell: (pair) => <Change mine={took(pair.mine)} other={took(pair.other)} tell={duration} />,
  },
  {
    key: "cost",
    head: "Cost",
    width: "minmax(110px, 1fr)",
    right: true,
    cell: (pair) => (
      <Change mine={pair.mine?.cost_nanousd ?? null} other={pair.other?.cost_nanousd ?? null} tell={money} />
    ),
  },
  {
    key: "reused",
    head: "",
    width: "80px",
    phone: "plain",
    cell: (pair) =>
      pair.mine?.reused || pair.mine?.id === pair.other?.id ? <span className="muted">reused</span> : null,
  },
];

function span(run: Run): number | null {
  return run.ended_at ? Date.parse(run.ended_at) - Date.parse(run.created_at) : null;
}

/** Two runs side by side, step by step: what changed in state, time and money. */
export function Compare({ store, run, with: other }: { store: RunStore; run: Run; with: string }) {
  const theirs = useMemo(() => new RunStore(other), [other]);
  const [rows, setRows] = useState(0);
  const there = useRun(other);
  useVersion(store);
  useEffect(() => {
    const stop = theirs.subscribe(() => setRows(theirs.rows.size));
    void theirs.load();
    return stop;
  }, [theirs]);
  const paths = [...new Set([...store.rows.keys(), ...(rows > 0 ? theirs.rows.keys() : [])])].slice(0, 2_000);
  const pairs = paths.map((path): Pair => ({ path, mine: store.rows.get(path), other: theirs.rows.get(path) }));
  return (
    <Card
      flush
      title={
        <h2>
          Compared with{" "}
          <Link to="/runs/$run" params={{ run: other }}>
            {other}
          </Link>
        </h2>
      }
    >
      <Loaded of={there} what="The other run">
        {(data) => (
          <div className={css.pad}>
            This run took <Change mine={span(run)} other={span(data)} tell={duration} /> and cost{" "}
            <Change mine={run.cost_nanousd} other={data.cost_nanousd} tell={money} />; in brackets: against the other.
          </div>
        )}
      </Loaded>
      {theirs.error != null && <ErrorBox error={theirs.error} retry={() => void theirs.load()} />}
      <Table label="Steps compared" columns={COLUMNS} rows={pairs} rowKey={(pair) => pair.path} />
    </Card>
  );
}
