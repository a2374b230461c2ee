import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Run } from "../../api/paths";
import { useGet } from "../../api/query";
import { Marks, StateBadge } from "../../kit/badge";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { ErrorBox, Loaded } from "../../kit/said";
import { isEnded } from "../../kit/state";
import { Money, Span } from "../../kit/time";
import type { Row } from "../runs/model/tree";
import { textOf } from "../runs/texts";
import { useRun, useRunStore, useVersion } from "../runs/use-run";
import css from "./analyse.module.css";
import { gist, title } from "./plan";

function Snippet({ row, live }: { row: Row; live: string | undefined }) {
  const done = row.state === "succeeded";
  const task = useGet("/api/v1/tasks/{id}", { params: { path: { id: row.id } } }, { enabled: done, staleTime: 60_000 });
  if (live && !done) return <div className={css.snippet}>{visible(live.slice(-400))}</div>;
  if (row.error) return <div className={`${css.snippet} ${css.err}`}>{visible(row.error.message)}</div>;
  if (row.reason && !isEnded(row.state)) return <div className={css.snippet}>{visible(row.reason)}</div>;
  const output: unknown = task.data?.output;
  if (output == null) return null;
  const text = textOf(output) ?? gist(output);
  return <div className={css.snippet}>{visible(text.slice(0, 600))}</div>;
}

function Tile({ row, live }: { row: Row; live: string | undefined }) {
  return (
    <article className={css.tile} data-worker={row.worker}>
      <div className={css.tileHead}>
        <Link to="/tasks/$task" params={{ task: row.id }}>
          {visible(title(row.worker))}
        </Link>
        <StateBadge state={row.state} />
      </div>
      <Snippet row={row} live={live} />
      <div className={css.tileFoot}>
        <Span from={row.started_at ?? row.created_at} to={row.ended_at} />
        <Money nano={row.cost_nanousd} />
        <Marks of={row} />
      </div>
    </article>
  );
}

/** The workers of a run side by side, as they answer. */
export function Board({ id, name, onEnd }: { id: string; name: string; onEnd: (run: Run) => void }) {
  const run = useRun(id);
  const store = useRunStore(id, run.data);
  useVersion(store);
  const known = run.data;
  useEffect(() => {
    if (known && isEnded(known.state)) onEnd(known);
  }, [known, onEnd]);
  const rows = store.all.filter((row) => row.worker !== "report");
  const live = new Map([...store.texts.values()].map((one) => [one.task, one.text]));
  return (
    <Card
      flush
      title={<h2>{name}</h2>}
      actions={
        <>
          {known && <StateBadge state={known.state} />}
          <Link to="/runs/$run" params={{ run: id }}>
            Open {id}
          </Link>
        </>
      }
    >
      {store.error != null && <ErrorBox error={store.error} retry={() => void store.load()} />}
      <Loaded of={run} what="The run">
        {() => (
          <div className={css.board}>
            {rows.map((row) => (
              <Tile key={row.id} row={row} live={live.get(row.id)} />
            ))}
          </div>
        )}
      </Loaded>
    </Card>
  );
}
