import { expect, test } from "vitest";
import { ofId, ofWords, pageOf } from "./find";

test("ids lead to their page, whatever they hold is kept in one part of the address", () => {
  expect(ofId(" run_7 ")?.to).toBe("/runs/run_7");
  expect(ofId("call_3")?.to).toBe("/calls?call=call_3");
  expect(ofId("run_7x")).toBeNull();
  expect(pageOf("workflow", "../a b")).toBe("/workflows/..%2Fa%20b");
  expect(pageOf("moon", "1")).toBeNull();
});

test("words find pages and actions", () => {
  expect(ofWords("raise bud").map((one) => one.title)).toEqual(["Raise a budget"]);
  expect(ofWords("").length).toBeGreaterThan(20);
  expect(ofWords("nothing like it")).toEqual([]);
});
