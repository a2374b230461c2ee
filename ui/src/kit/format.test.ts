import { describe, expect, test } from "vitest";
import { ago, bytes, count, duration, many, money, percent, visible } from "./format";

test("durations keep two units at most", () => {
  const said = [0, 340, 1_234, 12_400, 59_940, 60_000, 123_000, 3_600_000, 15_000_000, 266_400_000].map(duration);
  expect(said).toEqual([
    "0 ms",
    "340 ms",
    "1.2 s",
    "12 s",
    "60 s",
    "1 min",
    "2 min 3 s",
    "1 h",
    "4 h 10 min",
    "3 d 2 h",
  ]);
  expect(duration(null)).toBe("–");
  expect(duration(Number.NaN)).toBe("–");
});

describe("money", () => {
  test("is zero for zero alone", () => {
    expect(money(0)).toBe("$0");
    for (let nano = 1; nano < 1e12; nano = Math.ceil(nano * 1.7)) {
      expect(money(nano).replace(/[^1-9]/g, "")).not.toBe("");
    }
  });
  test("keeps small amounts readable", () => {
    expect(money(12_000)).toBe("$0.000\u202f012");
    expect(money(1)).toBe("$0.000\u202f000\u202f001");
    expect(money(123_400_000)).toBe("$0.123");
    expect(money(500_000_000)).toBe("$0.50");
    expect(money(2_600_000_000)).toBe("$2.60");
    expect(money(1_234_567_000_000_000)).toBe("$1,234,567.00");
    expect(money(-12_000)).toBe("-$0.000\u202f012");
  });
  test("says unknown for what is not known", () => {
    expect(money(null)).toBe("unknown");
  });
});

test("counts, shares and sizes", () => {
  expect([count(12_345), count(1_200_000), count(12_000_000), count(undefined)]).toEqual([
    "12,345",
    "1.2 M",
    "12 M",
    "–",
  ]);
  expect([percent(0), percent(0.0004), percent(0.025), percent(0.5), percent(1)]).toEqual([
    "0 %",
    "<0.1 %",
    "2.5 %",
    "50 %",
    "100 %",
  ]);
  expect([bytes(12), bytes(2048), bytes(700_000_000)]).toEqual(["12 B", "2.0 KiB", "668 MiB"]);
  expect([many(1, "run"), many(2, "run"), many(0, "entry", "entries")]).toEqual(["1 run", "2 runs", "0 entries"]);
  expect([ago(500), ago(12_000), ago(125_000), ago(7_300_000)]).toEqual(["now", "12 s ago", "2 min ago", "2 h ago"]);
});

test("text that would disguise itself is written out", () => {
  expect(visible("a\u001b[31mred\u202egpj")).toBe("a\\u{1b}[31mred\\u{202e}gpj");
  expect(visible("tab\tand\r\nline")).toBe("tab\tand\nline");
});
