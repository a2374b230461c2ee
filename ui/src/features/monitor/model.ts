// Figures over time: ranges, lines for charts, words for values. Pure.
import type { Alias, Series, SeriesLine } from "../../api/paths";
import { bytes, count, duration, money } from "../../kit/format";

const HOUR = 3_600_000;

/** Whether no name leads to a model: nothing but offline methods can answer. */
export function keyless(aliases: readonly Alias[]): boolean {
  return aliases.length > 0 && aliases.every((one) => one.links.every((link) => /^(no_key|offline)$/.test(link.state)));
}

export const RANGES = [
  { value: "1h", label: "1 hour", ms: HOUR },
  { value: "6h", label: "6 hours", ms: 6 * HOUR },
  { value: "24h", label: "24 hours", ms: 24 * HOUR },
  { value: "7d", label: "7 days", ms: 7 * 24 * HOUR },
  { value: "30d", label: "30 days", ms: 30 * 24 * HOUR },
  { value: "90d", label: "90 days", ms: 90 * 24 * HOUR },
] as const;
export type Range = (typeof RANGES)[number];

export function rangeOf(word: string | undefined): Range {
  return RANGES.find((one) => one.value === word) ?? RANGES[0];
}

export const DIVISIONS = [
  { value: "", label: "everything" },
  { value: "queue", label: "queue" },
  { value: "worker", label: "worker" },
  { value: "model", label: "model" },
  { value: "provider", label: "provider" },
];

export type Chart = { id: string; title: string; about: string; metrics: string[]; divided?: string };

/** The charts. `divided` is the metric that is shown by queue or worker. */
export const CHARTS: Chart[] = [
  {
    id: "throughput",
    title: "Throughput",
    about: "Tasks that ended in a second, and those of them that failed",
    metrics: ["throughput", "failures"],
    divided: "throughput",
  },
  {
    id: "wait",
    title: "Wait",
    about: "From ready to begun: half of the tasks, and 95 of 100, waited no longer",
    metrics: ["wait_p50", "wait_p95"],
    divided: "wait_p95",
  },
  {
    id: "duration",
    title: "Duration",
    about: "Of an attempt: half of them, and 95 of 100, took no longer",
    metrics: ["duration_p50", "duration_p95"],
    divided: "duration_p95",
  },
  {
    id: "slots",
    title: "Slots and depth",
    about: "Tasks that run, slots there are, tasks that wait for one",
    metrics: ["running", "slots", "depth"],
    divided: "depth",
  },
  { id: "spend", title: "Spend", about: "Paid to providers in each step", metrics: ["spend"], divided: "spend" },
  {
    id: "tokens",
    title: "Tokens",
    about: "Sent and received in each step",
    metrics: ["input_tokens", "output_tokens"],
    divided: "output_tokens",
  },
  { id: "cpu", title: "Processor", about: "Cores that the server uses", metrics: ["cpu"] },
  { id: "memory", title: "Memory", about: "Of the server", metrics: ["memory"] },
];

export const METRICS = CHARTS.flatMap((chart) => chart.metrics);

const NAMES: Record<string, string> = {
  throughput: "ended",
  failures: "failed",
  wait_p50: "half",
  wait_p95: "95 of 100",
  duration_p50: "half",
  duration_p95: "95 of 100",
  running: "running",
  slots: "slots",
  depth: "waiting",
  spend: "spent",
  input_tokens: "sent",
  output_tokens: "received",
  cpu: "cores",
  memory: "memory",
};

export type Line = { name: string; unit: SeriesLine["unit"]; values: (number | null)[] };

/** Lines of a chart that are shown at once. */
const MOST = 6;

function sumOf(values: readonly (number | null)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

/** The lines of a chart: its metrics, or where figures are divided the names with the most of one metric. */
export function linesOf(chart: Chart, series: Series, by: string): Line[] {
  if (!by) {
    return chart.metrics.flatMap((metric) => {
      const found = series.series.find((one) => one.metric === metric && one.name === "");
      return found ? [{ name: NAMES[metric] ?? metric, unit: found.unit, values: found.values }] : [];
    });
  }
  return series.series
    .filter((one) => one.metric === chart.divided && one.name !== "")
    .sort((a, b) => sumOf(b.values) - sumOf(a.values))
    .slice(0, MOST)
    .map((one) => ({ name: one.name, unit: one.unit, values: one.values }));
}

/** The moments of a series, in seconds as the charts take them. */
export function times(series: Series): number[] {
  const from = Date.parse(series.from) / 1_000;
  const length = Math.max(0, ...series.series.map((one) => one.values.length));
  return Array.from({ length }, (_, at) => from + (at * series.step_ms) / 1_000);
}

/** A value in the words of its unit. */
export function words(value: number | null | undefined, unit: Line["unit"]): string {
  if (value == null) return "–";
  switch (unit) {
    case "per_s":
      return `${value > 0 && value < 10 ? Number(value.toPrecision(2)) : count(Math.round(value))} /s`;
    case "ms":
      return duration(value);
    case "nanousd":
      return money(Math.round(value));
    case "bytes":
      return bytes(value);
    case "cores":
      return value.toFixed(2);
    default:
      return count(Math.round(value * 100) / 100);
  }
}

export function last(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

/** What was paid for an ended task over the whole range; null when none ended. */
export function costPerTask(series: Series): number | null {
  const of = (metric: string): number =>
    sumOf(series.series.find((one) => one.metric === metric && one.name === "")?.values ?? []);
  const ended = of("throughput") * (series.step_ms / 1_000);
  return ended > 0 ? of("spend") / ended : null;
}

/** The share of ended tasks that failed over the whole range; null when none ended. */
export function failureRate(series: Series): number | null {
  const of = (metric: string): number =>
    sumOf(series.series.find((one) => one.metric === metric && one.name === "")?.values ?? []);
  return of("throughput") > 0 ? of("failures") / of("throughput") : null;
}
