import { expect, test } from "vitest";
import { type Budget, balance, dayRange, deeper, tightest, typed } from "./model";

const budget = (account: string, limit: number, spent: number): Budget => ({
  tenant: 1,
  account,
  limit_nanousd: limit,
  spent_nanousd: spent,
  set_at: "",
  of_file: false,
});

test("the tightest budget comes first, and one of nothing is used up", () => {
  const all = tightest([budget("day", 100, 10), budget("tenant", 0, 0), budget("run_1", 10, 9)]);
  expect(all.map((one) => [one.account, one.share])).toEqual([
    ["tenant", 1],
    ["run_1", 0.9],
    ["day", 0.1],
  ]);
});

test("a budget that parks tasks comes before those that are fuller", () => {
  const all = tightest([budget("day", 100, 90), budget("run_1", 10, 1)], (one) => (one.account === "run_1" ? 2 : 0));
  expect(all.map((one) => one.account)).toEqual(["run_1", "day"]);
});

test("the books balance when all whole sums agree", () => {
  const sum = (by: string, nanousd: number, whole = true) => ({ by, nanousd, whole });
  expect(balance([sum("tenant", 7), sum("day", 7), sum("model", 7)]).state).toBe("balanced");
  expect(balance([sum("tenant", 7), sum("day", 6)]).state).toBe("off");
  expect(balance([sum("tenant", 7), sum("run", 6, false)]).state).toBe("unknown");
  expect(balance([]).state).toBe("unknown");
});

test("each row leads one level deeper", () => {
  expect(deeper("run", "run_7")).toEqual({ to: "/calls", search: { run: "run_7" } });
  expect(deeper("model", "openai/gpt-x/mini")).toEqual({
    to: "/calls",
    search: { provider: "openai", model: "gpt-x/mini" },
  });
  expect(deeper("key", "k")).toBeNull();
  expect(deeper("worker", "-")).toBeNull();
});

test("a day has bounds in UTC", () => {
  expect(dayRange("2026-02-28")).toEqual({ since: "2026-02-28T00:00:00.000Z", until: "2026-03-01T00:00:00.000Z" });
  expect(dayRange(undefined)).toEqual({});
  expect(dayRange("nonsense")).toEqual({});
});

test("dollars are read as people type them", () => {
  expect(typed("$2.50")).toBe(2_500_000_000);
  expect(typed("1,000")).toBe(1_000_000_000_000);
  expect(typed(".5")).toBe(500_000_000);
  expect(typed("two")).toBeNull();
  expect(typed("-1")).toBeNull();
  expect(typed("99999999")).toBeNull();
});
