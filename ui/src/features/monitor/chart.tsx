import { lazy, Suspense, useMemo, useState } from "react";
import type { Series } from "../../api/paths";
import { visible } from "../../kit/format";
import { moment } from "../../kit/time";
import { type Chart, type Line, last, linesOf, times, words } from "./model";
import css from "./monitor.module.css";

const Plot = lazy(() => import("./plot"));
const COLOURS = [css.accent, css.bad, css.good, css.warn, css.park, css.calm].map((name) => name ?? "");
/** Charts whose second line is the same figure at another rank: it is told apart by dashes too. */
const RANKS = new Set(["wait", "duration"]);

/** The least top of a chart by its unit: half a second, a core and so on, so that next to nothing looks like it. */
const LEAST: Partial<Record<Line["unit"], number>> = { ms: 10, per_s: 0.5, nanousd: 1_000, cores: 0.2, count: 4 };

/** One chart with its lines, their values under the pointer or the last ones. */
export function ChartCard({ chart, series, by }: { chart: Chart; series: Series; by: string }) {
  const [at, setAt] = useState<number | null>(null);
  const lines = useMemo(() => linesOf(chart, series, by), [chart, series, by]);
  const moments = useMemo(() => times(series), [series]);
  const marks = useMemo(
    () => series.marks.map((mark) => ({ at: Date.parse(mark.at) / 1_000, text: mark.text })),
    [series],
  );
  const unit = lines[0]?.unit ?? "count";
  const drawn = useMemo(
    () =>
      lines.map((line, index) => ({
        name: line.name,
        values: line.values,
        dash: (RANKS.has(chart.id) && !by && index === 1) || line.name === "slots",
      })),
    [lines, chart.id, by],
  );
  const known = lines.some((line) => line.values.some((value) => value !== null));
  if (by && !chart.divided) return null;
  return (
    <section className={css.chart} aria-label={chart.title}>
      <div>
        <h2>{chart.title}</h2>
        <p className={css.about}>{chart.about}</p>
      </div>
      {known ? (
        <>
          <div
            role="img"
            aria-label={`${chart.title}: ${lines.map((line) => `${line.name} ${words(last(line.values), unit)}`).join(", ")} at last`}
          >
            <Suspense fallback={<div className={css.plot} />}>
              <Plot
                times={moments}
                lines={drawn}
                colours={COLOURS}
                marks={marks}
                word={(value) => words(value, unit)}
                least={LEAST[unit] ?? 1}
                binary={unit === "bytes"}
                onAt={setAt}
              />
            </Suspense>
          </div>
          <ul className={css.legend}>
            {drawn.map((line, index) => (
              <li key={line.name}>
                <span
                  className={`${css.stroke} ${COLOURS[index % COLOURS.length]}`}
                  data-dash={line.dash || undefined}
                />
                {visible(line.name)} <strong>{words(at === null ? last(line.values) : line.values[at], unit)}</strong>
              </li>
            ))}
            <li className="muted">{at === null ? "at last" : moment((moments[at] ?? 0) * 1_000)}</li>
          </ul>
        </>
      ) : (
        <div className={css.none}>Nothing was recorded in this time</div>
      )}
    </section>
  );
}
