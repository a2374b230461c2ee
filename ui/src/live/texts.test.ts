import { expect, test } from "vitest";
import type { TextDelta } from "./frames";
import { NO_TEXTS, wholeText, withTexts } from "./texts";

const delta = (offset: number, text: string, more: Partial<TextDelta> = {}): TextDelta => ({
  task: "task_1",
  attempt: 1,
  part: 0,
  offset,
  text,
  ended: false,
  ...more,
});

test("pieces are put together, and those that come twice count once", () => {
  let texts = withTexts(NO_TEXTS, [delta(0, "Grüße "), delta(8, "aus ")]);
  texts = withTexts(texts, [delta(8, "aus Bremen")]);
  expect(wholeText(texts)).toBe("Grüße aus Bremen");
});

test("a hole is marked", () => {
  expect(wholeText(withTexts(NO_TEXTS, [delta(0, "one"), delta(9, "two")]))).toBe("one [...] two");
});

test("a later attempt begins anew, and what is left of an earlier one is passed over", () => {
  const texts = withTexts(NO_TEXTS, [delta(0, "first"), delta(0, "second", { attempt: 2 }), delta(5, " late")]);
  expect(wholeText(texts)).toBe("second");
});

test("parts stay in their order", () => {
  const texts = withTexts(NO_TEXTS, [delta(0, "b", { part: 1 }), delta(0, "a")]);
  expect(wholeText(texts)).toBe("a\n\nb");
});
