import { expect, test } from "vitest";
import { partsOf, periodName, queryOf, RANGES, type Report, topOf } from "./over-time";

const sums = (cost: number) => ({ cost_nanousd: cost, calls: 1, given_calls: 0, input_tokens: 2, output_tokens: 3 });

function row(name: string, costs: number[]): Report["total"] {
  const all = costs.reduce((sum, one) => sum + one, 0);
  return { ...sums(all), name, unknown_nanousd: 0, periods: costs.map(sums) };
}

function report(...rows: Report["total"][]): Report {
  const total = (rows[0]?.periods ?? []).map((_, at) =>
    rows.reduce((sum, one) => sum + (one.periods?.[at]?.cost_nanousd ?? 0), 0),
  );
  return { by: "worker", per: "day", periods: total.map(String), rows, total: row("total", total) };
}

test("bars hold the largest names, and the rest so that nothing is lost", () => {
  const rows = ["a", "b", "c", "d", "e", "f", "g"].map((name, at) => row(name, [10 - at, at]));
  const parts = partsOf("cost", report(...rows), true);
  expect(parts.map((part) => part.name)).toEqual(["a", "b", "c", "d", "e", "others"]);
  expect(parts.reduce((sum, part) => sum + (part.values[0] ?? 0), 0)).toBe(49);
  expect(parts.at(-1)?.values).toEqual([9, 11]);
  expect(partsOf("cost", report(...rows), false).map((part) => part.values)).toEqual([[49, 21]]);
});

test("one name more than colours needs no others, and names without an amount are left out", () => {
  const rows = ["a", "b", "c", "d", "e", "f"].map((name) => row(name, [1]));
  expect(partsOf("cost", report(...rows, row("free", [0])), true).map((part) => part.name)).toEqual([
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
  ]);
});

test("the top of a chart is round and not below the highest bar", () => {
  expect([0, 1, 3, 21, 260, 99, 1_000].map(topOf)).toEqual([1, 1, 5, 25, 500, 100, 1_000]);
});

test("ranges are days of UTC and periods are named in UTC", () => {
  const range = (id: string) => RANGES.find((one) => one.id === id) ?? RANGES[0];
  const now = Date.parse("2026-12-01T23:59:00Z");
  expect(queryOf(range("30d"), now)).toEqual({ per: "day", from: "2026-11-02T00:00:00.000Z" });
  expect(queryOf(range("12m"), now)).toEqual({ per: "month" });
  expect(queryOf(range("all"), now)).toEqual({});
  expect(periodName("day", "2026-11-30T00:00:00Z")).toBe("30 Nov");
  expect(periodName("hour", "2026-11-30T23:00:00Z")).toBe("30 Nov 23:00");
  expect(periodName("month", "2026-11-01T00:00:00Z")).toBe("Nov 2026");
});
