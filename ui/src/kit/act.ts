import { useState } from "react";
import { reread } from "../api/query";
import { say, sayError } from "./toast";

/** Runs an action once at a time: busy while it runs, a message when it was refused, lists read again when done. */
export function useAct(...paths: string[]): {
  busy: string | null;
  act: (name: string, run: () => Promise<unknown>, done?: string) => Promise<boolean>;
} {
  const [busy, setBusy] = useState<string | null>(null);
  const act = async (name: string, run: () => Promise<unknown>, done?: string): Promise<boolean> => {
    if (busy) return false;
    setBusy(name);
    try {
      await run();
      if (done) say(done);
      reread(...paths);
      return true;
    } catch (refused) {
      sayError(refused);
      return false;
    } finally {
      setBusy(null);
    }
  };
  return { busy, act };
}
