// The items of a fan-out, too many for lines of their own.
import type { Run } from "../../api/paths";
import { read } from "../../api/query";
import { isEnded } from "../../kit/state";
import { sayError } from "../../kit/toast";
import { ItemList } from "./detail";
import { HeatMap } from "./heat";
import type { RunStore } from "./store";

/** Opens the page of an item's task. */
async function openItem(run: string, holder: string, index: number, onOpen: (task: string) => void): Promise<void> {
  const step = `${holder}[${index}]`;
  try {
    const found = await read("/api/v1/tasks", { params: { query: { run, q: step, steps: "true", limit: 50 } } });
    const task = found.tasks.find((one) => one.step === step);
    if (task) onOpen(task.id);
    else sayError(new Error(`Item ${index} has not begun`));
  } catch (refused) {
    sayError(refused);
  }
}

type FanProps = {
  run: Run;
  store: RunStore;
  holder: string;
  /** The state of the items that are listed; null lists none. */
  state: string | null;
  onState: (state: string | null) => void;
  onTask: (task: string) => void;
};

/** The items of a fan-out: their map, and a list of those in one state. */
export function FanOut({ run, store, holder, state, onState, onTask }: FanProps) {
  return (
    <>
      <HeatMap
        store={store}
        holder={holder}
        ended={isEnded(run.state)}
        filter={state}
        onFilter={onState}
        onItem={(index) => void openItem(run.id, holder, index, onTask)}
      />
      {state && <ItemList run={run.id} holder={holder} state={state} />}
    </>
  );
}
