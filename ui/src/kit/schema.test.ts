import { expect, test } from "vitest";
import { controlOf, faults, initial, resolve, type Schema, titleOf } from "./schema";

test("each type gets its control", () => {
  const of = (name: string, schema: Schema) => controlOf(name, schema);
  expect(of("text", { type: "string" })).toBe("area");
  expect(of("language", { type: "string" })).toBe("text");
  expect(of("max", { type: "integer" })).toBe("number");
  expect(of("deep", { type: "boolean" })).toBe("check");
  expect(of("style", { enum: ["short", "long"] })).toBe("choice");
  expect(of("labels", { type: "array", items: { type: "string" } })).toBe("lines");
  expect(of("document", { type: "object", format: "file" })).toBe("file");
  expect(of("options", { type: "object", properties: { a: { type: "string" } } })).toBe("group");
  expect(of("any", {})).toBe("json");
  expect(of("any", { type: ["string", "integer"] })).toBe("json");
  expect(of("maybe", { type: ["string", "null"] })).toBe("text");
});

test("references and options beside null are followed, and endless ones end", () => {
  const root: Schema = { $defs: { Level: { enum: [1, 2] }, Loop: { $ref: "#/$defs/Loop" } } };
  expect(resolve({ $ref: "#/$defs/Level", description: "how far" }, root)).toEqual({
    enum: [1, 2],
    description: "how far",
  });
  expect(resolve({ anyOf: [{ type: "string" }, { type: "null" }] }, root)).toEqual({ type: "string" });
  expect(resolve({ $ref: "#/$defs/Loop" }, root)).toEqual({});
  expect(resolve({ $ref: "#/nowhere" }, root)).toEqual({});
});

test("a form begins with defaults and names what is wrong", () => {
  const schema: Schema = {
    properties: {
      text: { type: "string" },
      max: { type: "integer", minimum: 1, maximum: 9, default: 5 },
      of: { type: "object", properties: { a: { type: "string" } }, required: ["a"] },
    },
    required: ["text", "of"],
  };
  expect(initial(schema)).toEqual({ max: 5, of: {} });
  expect(faults(schema, initial(schema))).toEqual({ text: "This is needed.", "of.a": "This is needed." });
  expect(faults(schema, { text: "x", max: 12, of: { a: "b" } })).toEqual({ max: "This is more than 9." });
  expect(faults(schema, { text: "x", max: 1.5, of: { a: "b" } })).toEqual({ max: "This is not a whole number." });
});

test("names are told as words", () => {
  expect(titleOf("max_sentences", {})).toBe("Max sentences");
  expect(titleOf("x", { title: "The X" })).toBe("The X");
});
