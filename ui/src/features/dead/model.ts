// Dead letters: the price of another try. Pure.
import type { DeadGroup, ModelCall } from "../../api/paths";

export type RetryPrice = {
  /** Calls whose answers are recorded: a retry gets them again and pays nothing. */
  replayed: number;
  /** Calls that a retry would make again. */
  fresh: number;
  /** What those cost the last time, in nano-dollars. */
  nanousd: number;
};

/** What a retry would cost if it went as far as the last one. */
export function retryPrice(calls: readonly ModelCall[]): RetryPrice {
  const price = { replayed: 0, fresh: 0, nanousd: 0 };
  for (const call of calls) {
    if (call.recorded) price.replayed += 1;
    else {
      price.fresh += 1;
      price.nanousd += call.cost_nanousd;
    }
  }
  return price;
}

export function keyOf(group: DeadGroup): string {
  return `${group.worker} · ${group.category} · ${group.message}`;
}

/** The line of the command line that does the same as a button for a whole group. */
export function cliFor(act: "retry" | "discard", ids: readonly string[]): string {
  const most = 5;
  const named = ids.slice(0, most).join(" ");
  return `dead ${act} ${named}${ids.length > most ? " ..." : ""}`;
}
