import { expect, test } from "vitest";
import { moment, reason } from "./time";

test("times in a text of the server stand on the clock of this browser, and nothing else changes", () => {
  const at = "2026-12-01T16:58:53.472Z";
  const now = new Date("2026-12-01T12:00:00Z");
  expect(reason(`starts at ${at}, or not`, now)).toBe(`starts at ${moment(at, now)}, or not`);
  expect(reason("waits for run_7 since 2026-12-01", now)).toBe("waits for run_7 since 2026-12-01");
  expect(reason("\u202egpj", now)).toBe("\\u{202e}gpj");
});
