// Spending over time: the ranges of the page, and what a chart of stacked bars shows. Pure.
import type { Data } from "../../api/query";
import { choices } from "../../kit/choice";
import { count, money } from "../../kit/format";

export type Report = Data<"/api/v1/cost">;
export type Sums = Pick<Report["total"], "cost_nanousd" | "calls" | "given_calls" | "input_tokens" | "output_tokens">;

/** Times that the page shows, each with the length of a bar. */
export const RANGES = [
  { id: "24h", name: "24 h", per: "hour", days: 0, words: "the last 24 hours" },
  { id: "30d", name: "30 d", per: "day", days: 30, words: "the last 30 days" },
  { id: "90d", name: "90 d", per: "day", days: 90, words: "the last 90 days" },
  { id: "12m", name: "12 months", per: "month", days: 0, words: "the last 12 months" },
  { id: "all", name: "All", per: "", days: 0, words: "all the time" },
] as const;
export type Range = (typeof RANGES)[number];

/** The query of a range; days are those of UTC, so it changes once a day. */
export function queryOf(range: Range, now: number): { per?: string; from?: string } {
  if (!range.per) return {};
  if (!range.days) return { per: range.per };
  const first = Math.floor(now / 86_400_000) - range.days + 1;
  return { per: range.per, from: new Date(first * 86_400_000).toISOString() };
}

/** What bars measure. */
export const METRICS = choices({
  cost: "Cost",
  calls: "Calls",
  tokens: "Tokens",
});
export type Metric = (typeof METRICS)[number]["id"];

export function amountOf(metric: Metric, sums: Sums): number {
  if (metric === "cost") return sums.cost_nanousd;
  if (metric === "calls") return sums.calls;
  return sums.input_tokens + sums.output_tokens;
}

export function wordOf(metric: Metric, value: number): string {
  return metric === "cost" ? money(value) : count(value);
}

export type Part = { name: string; values: number[]; sum: number };

/** The names with a colour of their own. */
export const PARTS = 5;

/** The largest names, and the rest of the total as one; undivided reports have one part. */
export function partsOf(metric: Metric, report: Report, divided: boolean): Part[] {
  const part = (name: string, row: Report["total"]): Part => ({
    name,
    values: (row.periods ?? []).map((sums) => amountOf(metric, sums)),
    sum: amountOf(metric, row),
  });
  const total = part("all", report.total);
  if (!divided) return [total];
  const rows = report.rows.map((row) => part(row.name, row)).filter((row) => row.sum > 0);
  rows.sort((a, b) => b.sum - a.sum);
  const top = rows.length > PARTS + 1 ? rows.slice(0, PARTS) : rows;
  const left = total.values.map((value, at) => value - top.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const rest = { name: "others", values: left, sum: left.reduce((sum, one) => sum + one, 0) };
  return rest.sum > 0 ? [...top, rest] : top;
}

/** A round number at or above the highest bar, for the top of the chart. */
export function topOf(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= most * (1 - 1e-9)) ?? 10;
  return step * power;
}

const HOUR = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric", timeZone: "UTC" });

/** The name of a period, in UTC. */
export function periodName(per: string, start: string): string {
  const at = new Date(start);
  if (per === "month") return MONTH.format(at);
  return per === "hour" ? `${DAY.format(at)} ${HOUR.format(at)}` : DAY.format(at);
}
