// Numbers of tasks by state, as a bar and as words.
import { StateBadge } from "./badge";
import css from "./counts.module.css";
import { count } from "./format";
import { lookOf } from "./state";

/** The order in which states are shown: what went wrong, what moves, what waits, what is done. */
const ORDER = [
  "failed",
  "running",
  "retrying",
  "parked",
  "held",
  "waiting",
  "scheduled",
  "ready",
  "succeeded",
  "skipped",
  "cancelled",
  "discarded",
];

export type ByState = Partial<Record<string, number>>;

export function inOrder(counts: ByState): [string, number][] {
  const states = [...ORDER, ...Object.keys(counts).filter((state) => !ORDER.includes(state))];
  return states.flatMap((state): [string, number][] => (counts[state] ? [[state, counts[state]]] : []));
}

export function sum(counts: ByState | undefined): number {
  return Object.values(counts ?? {}).reduce<number>((all, one) => all + (one ?? 0), 0);
}

/** The counts in words: `3 succeeded, 1 failed`. */
export function inWords(counts: ByState): string {
  return inOrder(counts)
    .map(([state, number]) => `${count(number)} ${lookOf(state).word}`)
    .join(", ");
}

export function CountsBar({ counts, total }: { counts: ByState; total?: number }) {
  const all = inOrder(counts);
  const words = inWords(counts) || "none";
  const rest = (total ?? 0) - sum(counts);
  return (
    <span
      className={css.bar}
      role="img"
      aria-label={words}
      title={rest > 0 ? `${words}, ${count(rest)} not begun` : words}
    >
      {all.map(([state, number]) => (
        <span key={state} className={`${css.part} ${css[lookOf(state).tone]}`} style={{ flexGrow: number }} />
      ))}
      {rest > 0 && <span style={{ flexGrow: rest }} />}
    </span>
  );
}

export function CountsWords({ counts }: { counts: ByState }) {
  return (
    <span className={css.words}>
      {inOrder(counts).map(([state, number]) => (
        <StateBadge key={state} state={state} plain word={`${count(number)} ${lookOf(state).word}`} />
      ))}
    </span>
  );
}
