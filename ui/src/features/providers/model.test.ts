import { expect, test } from "vitest";
import { answers, badShare, leftWords, type Model, type Provider, rowsOf, standing } from "./model";

const model = (name: string, more: Partial<Model> = {}): Model => ({
  model: name,
  price_known: true,
  circuit: "closed",
  failures_in_row: 0,
  recent_answered: 0,
  recent_failed: 0,
  recent_refused: 0,
  ...more,
});
const provider = (name: string, state: string, ...models: Model[]): Provider => ({ name, state, models });
const words = (state: string, more: Partial<Model> = {}) =>
  standing({ ...model("m", more), provider: { ...provider("p", state), reason: "no P_KEY" } });

test("the key is told before the circuit, and the circuit before the rate", () => {
  const open = { circuit: "open", failures_in_row: 5, opens_in_ms: 4_000, rate_wait_ms: 9 } as const;
  expect(words("no_key", open)).toEqual({ state: "-", word: "no key", hint: "no P_KEY" });
  expect(words("ready", open).hint).toBe("5 calls in a row failed. Next call in 4.0 s.");
  expect(words("ready", { circuit: "open", failures_in_row: 5 }).hint).toContain("tries it");
  expect(words("ready", { circuit: "cooling", opens_in_ms: 500 }).word).toBe("told to wait");
  expect(words("ready", { rate_wait_ms: 500 }).hint).toBe("Next call in 500 ms.");
  expect(words("ready", { recent_answered: 3 }).word).toBe("works");
  expect(words("ready").word).toBe("ready");
});

test("a name without a model and without offline methods does not answer", () => {
  const link = (state: string) => ({ link: "p/m", state, price_known: true });
  const word = (live: boolean, ...states: string[]) => answers({ live, links: states.map(link) }).word;
  expect([word(true, "ready"), word(false, "no_key", "offline"), word(false, "no_key")]).toEqual([
    "a model",
    "offline",
    "no answer",
  ]);
});

test("models in trouble come first, then the most called", () => {
  const rows = rowsOf([
    provider("a", "ready", model("calm"), model("busy", { recent_answered: 9 })),
    provider("b", "ready", model("broken", { circuit: "open" })),
    provider("c", "no_key", model("mute")),
  ]);
  expect(rows.map((row) => row.model)).toEqual(["broken", "busy", "calm", "mute"]);
});

test("shares and rests are told only where they are known", () => {
  expect(badShare(model("m"))).toBeNull();
  expect(badShare(model("m", { recent_answered: 1, recent_failed: 1, recent_refused: 2 }))).toBe(0.75);
  expect([leftWords(null, 60), leftWords(0, 60), leftWords(7, undefined)]).toEqual([null, "0 of 60", "7"]);
});
