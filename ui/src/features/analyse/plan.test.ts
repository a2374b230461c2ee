import { expect, test } from "vitest";
import { duration, money } from "../../kit/format";
import { candidates, compare, definition, gist, stepNames } from "./plan";

test("workers that take a text can be ticked, with what else they want as options", () => {
  const found = candidates([
    {
      name: "summarizer",
      input: { required: ["text"], properties: { text: { type: "string" }, max: { type: "integer", default: 5 } } },
    },
    {
      name: "translator",
      input: { required: ["text", "language"], properties: { text: { type: "string" }, language: { type: "string" } } },
    },
    { name: "sleep", input: { required: ["ms"], properties: { ms: { type: "integer" } } } },
    { name: "report", input: { properties: { text: { type: "string" } } } },
    { name: "any" },
  ]);
  expect(found.map((one) => [one.name, one.needs])).toEqual([
    ["summarizer", []],
    ["translator", ["language"]],
  ]);
});

test("steps have names that a definition takes, none twice", () => {
  expect([...stepNames(["a-b", "a.b", "report", "7up"]).values()]).toEqual(["a_b", "a_b_2", "report_2", "w_7up"]);
});

test("a definition holds each choice, and options cannot become expressions", () => {
  const source = definition("analysis", [{ worker: "translator", options: { language: 'Ger"man ${{ 1 }}' } }], true);
  expect(source).toContain('"language": "Ger\\"man ${{ \'${{\' }} 1 }}"');
  expect(source).toContain("needs: [read]");
  expect(definition("analysis", [{ worker: "w", options: {} }], false)).not.toContain("extract_text");
});

test("both ways are told in one sentence", () => {
  const tell = { time: duration, money };
  expect(compare({ took: 1_000, cost: 5_000_000 }, { took: 3_000, cost: 5_000_000 }, tell)).toBe(
    "1.0 s in parallel, 3.0 s in sequence: 3.0 times as fast in parallel, for the same money ($0.005).",
  );
  expect(compare({ took: 1_000, cost: 0 }, null, tell)).toBe("");
});

test("a value is told in a few words", () => {
  expect(gist({ category: "education", tags: ["a", "b"], none: null })).toBe(
    "category: education\ntags: a, b\nnone: –",
  );
  expect(gist([{ q: "x", a: 1 }])).toBe("q: x; a: 1");
});
