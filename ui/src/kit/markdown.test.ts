import { expect, test } from "vitest";
import { inlineOf, parse } from "./markdown";

test("a report is read as headings, tables, lists and text", () => {
  const blocks = parse(
    "# Title\n\n| a | b |\n|---|---|\n| 1 | **2** |\n\n- one\n- two\n\n*note* and `code`\nsecond line\n\n---\n\n```\nx < y\n```\n1. first",
  );
  expect(blocks.map((block) => block.kind)).toEqual(["heading", "table", "list", "paragraph", "rule", "code", "list"]);
  expect(blocks[1]).toEqual({
    kind: "table",
    head: [[{ text: "a" }], [{ text: "b" }]],
    rows: [[[{ text: "1" }], [{ text: "2", bold: true }]]],
  });
});

test("marks of HTML stay text, and no text is lost or endless", () => {
  expect(inlineOf("<script>alert(1)</script>")).toEqual([{ text: "<script>alert(1)</script>" }]);
  expect(inlineOf("a * b ** c")).toEqual([{ text: "a * b ** c" }]);
  expect(inlineOf("1\\* 2")).toEqual([{ text: "1* 2" }]);
  for (const odd of ["|", "```", "-", "# ", "*", "| |\n|-", "\n\n", "[x](javascript:alert(1))"])
    expect(Array.isArray(parse(odd))).toBe(true);
});
