import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useState } from "react";
import { many, visible } from "../../kit/format";
import css from "./chart.module.css";
import { type Metric, partsOf, periodName, type Range, type Report, topOf, wordOf } from "./over-time";

const COLOURS = [css.first, css.second, css.third, css.fourth, css.fifth, css.sixth].map((name) => name ?? "");

/** Bars over time, stacked by name. The figures below are those of the bar under the pointer or in focus. */
export function Chart(props: { report: Report; range: Range; metric: Metric; divided: boolean; by: string }) {
  const { report, range, metric, divided, by } = props;
  const [at, setAt] = useState<number | null>(null);
  const periods = report.periods ?? [];
  const parts = partsOf(metric, report, divided);
  const sums = periods.map((_, index) => parts.reduce((sum, part) => sum + (part.values[index] ?? 0), 0));
  const top = topOf(Math.max(0, ...sums));
  const name = (index: number): string => periodName(range.per, periods[index] ?? "");
  const shown = at !== null && at < periods.length ? at : null;
  const of = shown === null ? report.total : (report.total.periods?.[shown] ?? report.total);
  const onKey = (event: KeyboardEvent<HTMLDivElement>): void => {
    const last = periods.length - 1;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = { Home: 0, End: last }[event.key] ?? (step ? Math.max(0, Math.min(last, (at ?? last) + step)) : null);
    if (event.key === "Escape") setAt(null);
    if (next === null) return;
    event.preventDefault();
    setAt(next);
  };
  const day = range.per === "day" && shown !== null ? (periods[shown] ?? "").slice(0, 10) : "";
  return (
    <figure className={css.figure}>
      <div
        className={css.area}
        tabIndex={0}
        role="img"
        aria-label={`${wordOf(
          metric,
          sums.reduce((sum, one) => sum + one, 0),
        )} in ${range.words}; highest ${wordOf(metric, Math.max(0, ...sums))}`}
        onKeyDown={onKey}
        onPointerLeave={(event) => event.pointerType === "mouse" && setAt(null)}
      >
        <div className={css.scale} aria-hidden="true">
          <span>{wordOf(metric, top)}</span>
          <span>{top > 1 || metric === "cost" ? wordOf(metric, top / 2) : ""}</span>
          <span>{wordOf(metric, 0)}</span>
        </div>
        <div className={css.bars}>
          {periods.map((start, index) => (
            <div
              key={start}
              className={css.bar}
              data-at={index === shown || undefined}
              onPointerEnter={() => setAt(index)}
              onPointerDown={() => setAt(index)}
            >
              {parts.map((part, colour) => {
                const value = part.values[index] ?? 0;
                return (
                  value > 0 && (
                    <span
                      key={part.name}
                      className={COLOURS[colour % COLOURS.length]}
                      style={{ height: `${(value / top) * 100}%` }}
                    />
                  )
                );
              })}
            </div>
          ))}
        </div>
        <div className={css.dates} aria-hidden="true">
          <span>{name(0)}</span>
          <span>{name(Math.floor((periods.length - 1) / 2))}</span>
          <span>{name(periods.length - 1)}</span>
        </div>
      </div>
      <figcaption className={css.legend} aria-live="polite">
        <strong className={css.when}>{shown === null ? range.words : `${name(shown)} UTC`}</strong>
        <span className={css.all}>
          {wordOf(metric, shown === null ? sums.reduce((sum, one) => sum + one, 0) : (sums[shown] ?? 0))}
          {metric === "cost" && <span className="muted"> for {many(of.calls, "call")}</span>}
          {of.given_calls > 0 && <span className="muted"> and {many(of.given_calls, "reused answer")}</span>}
        </span>
        {divided &&
          parts.map((part, colour) => (
            <span key={part.name} className={css.part}>
              <span className={`${css.dot} ${COLOURS[colour % COLOURS.length]}`} />
              {part.name === "-" ? `no ${by}` : visible(part.name)}{" "}
              <span className="num">{wordOf(metric, shown === null ? part.sum : (part.values[shown] ?? 0))}</span>
            </span>
          ))}
        {day && (
          <Link to="/calls" search={{ day } as never}>
            See its calls
          </Link>
        )}
      </figcaption>
    </figure>
  );
}
