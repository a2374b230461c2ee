// The journal of a run, folded up to a moment: which step was in which state then. Pure.

export type Entry = { seq: number; at: string; event: string; step?: string | null } & Record<string, unknown>;
export type Then = { state: string; from?: string; to?: string };

/** The states after all entries up to `seq`. */
export function statesAt(entries: readonly Entry[], seq: number): Map<string, Then> {
  const states = new Map<string, Then>();
  for (const entry of entries) {
    if (entry.seq > seq) break;
    const step = entry.step;
    if (!step) continue;
    const was = states.get(step);
    switch (entry.event) {
      case "step_started":
        states.set(step, { state: "running", from: entry.at });
        break;
      case "step_ended":
        states.set(step, { ...was, state: String(entry.outcome ?? "succeeded"), to: entry.at });
        break;
      case "step_skipped":
        states.set(step, { state: "skipped", from: entry.at, to: entry.at });
        break;
      default:
        if (!was) states.set(step, { state: "waiting", from: entry.at });
    }
  }
  return states;
}

/** One line about an entry for people. */
export function tell(entry: Entry): string {
  const words = entry.event.replaceAll("_", " ");
  const parts: string[] = [];
  for (const name of ["outcome", "reason", "signal", "turn", "items", "version", "run", "error"]) {
    const value = entry[name];
    if (value === undefined || value === null) continue;
    parts.push(`${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`);
  }
  return parts.length > 0 ? `${words}: ${parts.join(", ")}` : words;
}
