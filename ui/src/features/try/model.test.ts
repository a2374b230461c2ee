import { expect, test } from "vitest";
import type { Schema } from "../../kit/schema";
import { bodyOf, inputFor, NO_OPTIONS, optionFaults, recipeOf, textField } from "./model";

const summarizer: Schema = {
  type: "object",
  properties: { text: { type: "string" }, max_sentences: { type: "integer" } },
};
const analyzer: Schema = { type: "object", properties: { focus: { type: "string" }, document: { type: "string" } } };

test("the field of the long text is found", () => {
  expect(textField(summarizer)).toBe("text");
  expect(textField(analyzer)).toBe("document");
  expect(textField({ type: "object", properties: { count: { type: "integer" } } })).toBeNull();
  expect(textField(undefined)).toBeNull();
});

test("another worker gets the fields it knows, and the text under its own name", () => {
  const given = { text: "Good morning", max_sentences: 2 };
  expect(inputFor(analyzer, summarizer, given)).toEqual({ document: "Good morning" });
  expect(inputFor(summarizer, summarizer, given)).toEqual(given);
  expect(inputFor(undefined, summarizer, given)).toEqual(given);
});

test("options that are empty are left out", () => {
  expect(bodyOf("a", { text: "b" }, NO_OPTIONS)).toEqual({
    worker: "a",
    input: { text: "b" },
    priority: 0,
    delay_ms: 0,
  });
  expect(bodyOf("a", {}, { ...NO_OPTIONS, delay: "1.5", limit: "0.02" })).toMatchObject({
    delay_ms: 1_500,
    max_cost_nanousd: 20_000_000,
  });
});

test("faults of options are said", () => {
  expect(optionFaults(NO_OPTIONS)).toEqual({});
  expect(Object.keys(optionFaults({ priority: "101", delay: "-1", timeout: "x", limit: "1e9", queue: "" }))).toEqual([
    "priority",
    "delay",
    "timeout",
    "limit",
  ]);
});

test("snippets quote what the user gave", () => {
  const recipe = recipeOf(bodyOf("a", { text: "it's <b>" }, { ...NO_OPTIONS, timeout: "2" }));
  expect(recipe.cli).toBe(`submit a --input '{"text":"it'\\''s <b>"}' --timeout 2000ms --wait`);
  expect(recipe.python).toContain(`client.tasks.submit("a", {"text": "it's <b>"}, timeout=2)`);
  expect(recipe.typescript).toContain(`client.tasks.submit("a", {"text":"it's <b>"}, { timeoutMs: 2000 })`);
  expect(recipe.body).toEqual({ worker: "a", input: { text: "it's <b>" }, timeout_ms: 2_000 });
});
