import { expect, test } from "vitest";
import type { Series } from "../../api/paths";
import { CHARTS, costPerTask, failureRate, last, linesOf, rangeOf, times, words } from "./model";

const series: Series = {
  from: "2026-11-30T10:00:00Z",
  to: "2026-11-30T10:00:30Z",
  step_ms: 10_000,
  series: [
    { metric: "throughput", name: "", unit: "per_s", values: [1, null, 3] },
    { metric: "failures", name: "", unit: "per_s", values: [0, null, 1] },
    { metric: "spend", name: "", unit: "nanousd", values: [0, null, 8_000] },
    { metric: "throughput", name: "a", unit: "per_s", values: [1, null, 0] },
    { metric: "throughput", name: "b", unit: "per_s", values: [0, null, 3] },
  ],
  marks: [],
};

test("the lines of a chart are its metrics, or the names with the most", () => {
  const chart = CHARTS[0]!;
  expect(linesOf(chart, series, "").map((line) => line.name)).toEqual(["ended", "failed"]);
  expect(linesOf(chart, series, "queue").map((line) => line.name)).toEqual(["b", "a"]);
  expect(linesOf(CHARTS.at(-1)!, series, "queue")).toEqual([]);
});

test("moments are those of the steps", () => {
  expect(times(series)).toEqual([0, 10, 20].map((s) => Date.parse(series.from) / 1_000 + s));
});

test("the cost of a task and the share that failed are of the whole range", () => {
  expect(costPerTask(series)).toBe(200);
  expect(failureRate(series)).toBe(0.25);
  expect(costPerTask({ ...series, series: [] })).toBeNull();
});

test("values are told in their units, and unknown is not zero", () => {
  expect(words(null, "ms")).toBe("–");
  expect(words(0, "per_s")).toBe("0 /s");
  expect(words(0.123, "per_s")).toBe("0.12 /s");
  expect(words(1_234, "ms")).toBe("1.2 s");
  expect(words(500, "nanousd")).not.toBe("$0");
  expect(last([1, 2, null])).toBe(2);
  expect(last([null])).toBeNull();
});

test("an unknown range is an hour", () => {
  expect(rangeOf("7d").ms).toBe(604_800_000);
  expect(rangeOf("nonsense").value).toBe("1h");
});
