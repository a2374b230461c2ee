import { Link } from "@tanstack/react-router";
import type { Series } from "../../api/paths";
import { useGet } from "../../api/query";
import { useCounts } from "../../app/shell";
import { useFilters } from "../../app/use-filters";
import { useSession } from "../../app/use-session";
import { buttonClass } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Pick } from "../../kit/fields";
import { bytes, count, percent, visible } from "../../kit/format";
import { Page as Frame, Grow, Stat, Stats, Toolbar } from "../../kit/page";
import { Loaded, Loading, Notice } from "../../kit/said";
import { Tabs } from "../../kit/tabs";
import { Duration, Money } from "../../kit/time";
import { useLiveReads, useStats } from "../../live/use-live";
import { bottleneck, type Facts, verdicts } from "./bottleneck";
import { ChartCard } from "./chart";
import { CHARTS, costPerTask, DIVISIONS, failureRate, keyless, last, METRICS, rangeOf, words } from "./model";
import css from "./monitor.module.css";

function Sentence({ facts }: { facts: Facts }) {
  const first = bottleneck(facts);
  if (!first) return <Loading what="the state of the server" />;
  const others = verdicts(facts).slice(1, 4);
  return (
    <section className={css.verdict} data-tone={first.tone} aria-label="The bottleneck" aria-live="polite">
      <div className={css.words}>
        <p className={css.what}>{visible(first.what)}.</p>
        <p>{visible(first.lift)}</p>
        {others.length > 0 && (
          <ul className={css.others}>
            {others.map((one) => (
              <li key={one.what}>{visible(one.what)}</li>
            ))}
          </ul>
        )}
      </div>
      {first.link && (
        <Link to={first.link.to} search={(first.link.search ?? {}) as never} className={buttonClass("primary")}>
          {first.link.words}
        </Link>
      )}
    </section>
  );
}

function Figures({ facts, series }: { facts: Facts; series: Series | undefined }) {
  const stats = useStats();
  const { counts, system } = facts;
  const line = (metric: string) => series?.series.find((one) => one.metric === metric && one.name === "")?.values ?? [];
  const waiting = counts ? (counts.tasks.ready ?? 0) : null;
  const failed = series ? failureRate(series) : null;
  return (
    <Stats>
      <Stat name="Throughput" note={failed === null ? "tasks that end" : `${percent(failed)} failed in this time`}>
        {words(stats?.per_s.ended ?? last(line("throughput")), "per_s")}
      </Stat>
      <Stat name="Slots" note="in use">
        {counts ? `${count(counts.slots.busy)} of ${count(counts.slots.all)}` : "–"}
      </Stat>
      <Stat name="Depth" note="tasks that wait for a slot">
        {count(waiting)}
      </Stat>
      <Stat name="Wait" note="95 of 100 tasks, at last">
        <Duration ms={last(line("wait_p95"))} />
      </Stat>
      <Stat name="Processor" note={system ? `of ${system.cpus} cores` : undefined}>
        {system?.process.cpu?.toFixed(2) ?? "–"}
      </Stat>
      <Stat name="Memory" note="of the server">
        {bytes(system?.process.memory_bytes)}
      </Stat>
      <Stat name="Spent today" note={counts ? `${count(counts.today.calls)} calls` : undefined}>
        {counts ? <Money nano={counts.today.spent_nanousd} /> : "–"}
      </Stat>
      <Stat name="Cost of a task" note="mean over this time">
        {series && costPerTask(series) !== null ? <Money nano={Math.round(costPerTask(series) ?? 0)} /> : "–"}
      </Stat>
    </Stats>
  );
}

/** The start of a range, on a whole step so that it stays equal while the page is open. */
function fromTime(ms: number, now: number): string {
  return new Date(Math.floor((now - ms) / 10_000) * 10_000).toISOString();
}

export function Page() {
  const [search, set] = useFilters();
  const { me } = useSession();
  const range = rangeOf(search.range);
  const by = DIVISIONS.find((one) => one.value === search.by)?.value ?? "";
  const own = me?.server !== false;
  const counts = useCounts();
  const queues = useGet("/api/v1/queues", undefined, { keep: true, refetchInterval: 5_000 });
  const system = useGet("/api/v1/system", undefined, { enabled: own, keep: true, refetchInterval: 5_000 });
  const providers = useGet("/api/v1/providers", undefined, { keep: true, refetchInterval: 10_000 });
  const every = range.ms <= 6 * 3_600_000 ? 10_000 : 60_000;
  const metric = (by ? CHARTS.flatMap((chart) => chart.divided ?? []) : METRICS).join(",");
  const query = { metric, ...(by ? { by } : {}), range: range.value };
  const series = useGet(
    "/api/v1/series",
    {
      params: { query: query as { metric: string } },
      querySerializer: () => {
        const from = fromTime(range.ms, Date.now());
        return new URLSearchParams({ metric, from, ...(by ? { by } : {}) }).toString();
      },
    } as never,
    { keep: true, refetchInterval: every },
  );
  useLiveReads("queues", ["/api/v1/queues"], 2_000);
  const facts: Facts = {
    counts,
    queues: queues.data?.queues ?? [],
    system: system.data ?? null,
    aliases: providers.data?.aliases ?? [],
  };
  return (
    <Frame
      title="Monitor"
      sub="How the server does: what it gets done, what waits, and what holds it up."
      actions={
        <CopyAs
          recipe={{
            method: "GET",
            path: `/api/v1/series?metric=${metric}${by ? `&by=${by}` : ""}&from=${fromTime(range.ms, Date.now())}`,
            cli: "top",
          }}
        />
      }
    >
      <Sentence facts={facts} />
      {keyless(facts.aliases) && (
        <Notice tone="calm">
          No key of a provider is set: offline methods answer, at no cost, and what only a model can do says so.
        </Notice>
      )}
      <Figures facts={facts} series={by ? undefined : series.data} />
      <Toolbar label="Time and division">
        <Tabs
          small
          label="Time"
          value={range.value}
          onChange={(value) => set({ range: value === "1h" ? "" : value })}
          tabs={[
            { id: "1h", name: "1 h" },
            { id: "6h", name: "6 h" },
            { id: "24h", name: "24 h" },
            { id: "7d", name: "7 d" },
            { id: "30d", name: "30 d" },
            { id: "90d", name: "90 d" },
          ]}
        />
        <Grow />
        <Pick label="Divided by" value={by} choices={DIVISIONS} onChange={(next) => set({ by: next })} />
      </Toolbar>
      <Loaded of={series} what="The history">
        {(data) => (
          <>
            <div className={css.charts}>
              {CHARTS.map((chart) => (
                <ChartCard key={chart.id} chart={chart} series={data} by={by} />
              ))}
            </div>
            {data.marks.length > 0 && (
              <p className={css.marks}>
                Dashed lines:{" "}
                {data.marks
                  .map((mark) => visible(mark.text || mark.kind))
                  .slice(-3)
                  .join(", ")}
                .
              </p>
            )}
          </>
        )}
      </Loaded>
    </Frame>
  );
}
