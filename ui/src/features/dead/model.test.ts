import { expect, test } from "vitest";
import type { ModelCall } from "../../api/paths";
import { cliFor, retryPrice } from "./model";

const call = (recorded: boolean, cost: number): ModelCall => ({ recorded, cost_nanousd: cost }) as ModelCall;

test("a retry pays nothing for recorded answers", () => {
  expect(retryPrice([call(true, 5_000), call(true, 7_000), call(false, 2_000)])).toEqual({
    replayed: 2,
    fresh: 1,
    nanousd: 2_000,
  });
  expect(retryPrice([])).toEqual({ replayed: 0, fresh: 0, nanousd: 0 });
});

test("the command names a few ids and says that there are more", () => {
  expect(cliFor("retry", ["task_1", "task_2"])).toBe("dead retry task_1 task_2");
  expect(cliFor("discard", ["a", "b", "c", "d", "e", "f"])).toBe("dead discard a b c d e ...");
});
