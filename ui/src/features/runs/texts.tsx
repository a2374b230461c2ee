import { useGet } from "../../api/query";
import { StateBadge } from "../../kit/badge";
import { visible } from "../../kit/format";
import { Card } from "../../kit/page";
import { Report } from "../../kit/report";
import { Empty } from "../../kit/said";
import { Text } from "../../kit/text";
import type { Row } from "./model/tree";
import css from "./run.module.css";
import type { RunStore } from "./store";
import { useVersion } from "./use-run";

/** The text of a value: itself, or what it holds under one of the usual names. */
export function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Record<string, unknown>;
  for (const name of ["markdown", "report", "text", "summary", "content", "answer"]) {
    const one = fields[name];
    if (typeof one === "string" && one.length > 0) return one;
  }
  return null;
}

function Answer({ row }: { row: Row }) {
  const task = useGet("/api/v1/tasks/{id}", { params: { path: { id: row.id } } }, { staleTime: 60_000 });
  const text = textOf(task.data?.output);
  if (text === null) return null;
  return (
    <section className={css.text}>
      <div className={css.textHead}>
        <strong>{visible(row.step ?? row.id)}</strong>
        <span className="muted">{visible(row.worker)}</span>
      </div>
      {/^#{1,3} /m.test(text) ? <Report text={text} /> : <Text text={text} prose />}
    </section>
  );
}

/** What steps answered in words: as models write it, and what is there when they have ended. */
export function Texts({ store, outputs }: { store: RunStore; outputs: unknown }) {
  useVersion(store);
  const live = [...store.texts.values()].filter((one) => !one.ended);
  const report = textOf(outputs);
  const answered = store.all
    .filter((row) => row.state === "succeeded" && !row.worker.startsWith("(") && row.worker !== "report")
    .slice(0, 24);
  return (
    <Card title="Texts">
      <div className={css.texts}>
        {live.map((one) => (
          <section key={`${one.task} ${one.step}`} className={css.text} data-live="" aria-live="off">
            <div className={css.textHead}>
              <strong>{visible(one.step)}</strong>
              <StateBadge state="running" plain word="writing" />
            </div>
            <Text text={one.text} prose />
          </section>
        ))}
        {report && (
          <section>
            <Report text={report} />
          </section>
        )}
        {answered.map((row) => (
          <Answer key={row.id} row={row} />
        ))}
        {live.length === 0 && answered.length === 0 && !report && (
          <Empty title="No text yet">What models write appears here word by word.</Empty>
        )}
      </div>
    </Card>
  );
}
