import { expect, test } from "vitest";
import { type Check, commandFor, diskShare, settings, settingText, worstFirst } from "./model";

const check = (name: string, status: string): Check => ({ name, status, value: 1, reason: "" }) as Check;

test("each check has a command", () => {
  expect(commandFor(check("disk free", "warning"))).toBe("kapelle doctor");
  expect(commandFor(check("failure rate", "critical"))).toBe("kapelle dead list");
  expect(commandFor(check("anything", "critical"))).toBe("kapelle doctor");
});

test("the disk is as full as df says, whatever is reserved for root", () => {
  expect(diskShare({ used_bytes: 45, free_bytes: 55 })).toBe(0.45);
  expect(diskShare({ used_bytes: 45 })).toBeNull();
  expect(diskShare({ used_bytes: 0, free_bytes: 0 })).toBeNull();
});

test("the worst come first", () => {
  const all = [check("a", "ok"), check("b", "warning"), check("c", "critical"), check("d", "ok")];
  expect(worstFirst(all, (one) => one.status).map((one) => one.name)).toEqual(["c", "b", "a", "d"]);
});

test("settings that somebody set come before defaults", () => {
  const all = [
    { path: "a.b", value: 1, origin: "default" },
    { path: "z", value: { x: true }, origin: "kapelle.yaml" },
    { path: "c", value: null, origin: "default" },
  ];
  expect(settings(all, "").map((one) => one.path)).toEqual(["z", "a.b", "c"]);
  expect(settings(all, "TRUE").map((one) => one.path)).toEqual(["z"]);
  expect(settingText(null)).toBe("not set");
});
