import { expect, test } from "vitest";
import { keyBody, keyCli, NEW_KEY, RIGHTS, stateOf } from "./model";

test("a key has the fields of its role and no others", () => {
  const draft = { ...NEW_KEY, name: " host 7 ", workers: "a, b", queues: "ml", approve: true };
  expect(keyBody(draft, null)).toEqual({
    name: "host 7",
    role: "developer",
    expires_in_ms: 7_776_000_000,
    approve: true,
  });
  expect(keyBody({ ...draft, role: "worker", days: "" }, 5e9)).toEqual({
    name: "host 7",
    role: "worker",
    workers: ["a", "b"],
    queues: ["ml"],
    limit_nanousd: 5e9,
  });
});

test("the command makes the same key", () => {
  const body = keyBody({ ...NEW_KEY, name: "ci bot" }, 2.5e9);
  expect(keyCli(body)).toBe(`keys create "ci bot" --role developer --expires 90d --limit '$2.5'`);
});

test("a key that was revoked or is past its time is told apart", () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  expect(stateOf({}, now)).toBe("valid");
  expect(stateOf({ expires_at: "2026-11-30T12:00:00Z" }, now)).toBe("expired");
  expect(stateOf({ revoked_at: "2026-11-01T00:00:00Z", expires_at: "2027-01-01T00:00:00Z" }, now)).toBe("revoked");
});

test("admins may do everything", () => {
  expect(RIGHTS.every((right) => right.roles.includes("admin"))).toBe(true);
});
