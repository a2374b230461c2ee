// The states of many items as bytes, and the grid in which they are drawn. Pure.

/** The numbers of states in `items/states`. */
const NAMES: Record<number, string> = {
  0: "scheduled",
  1: "ready",
  2: "running",
  3: "retrying",
  4: "held",
  5: "parked",
  6: "waiting",
  10: "succeeded",
  11: "failed",
  12: "cancelled",
  13: "skipped",
  14: "discarded",
  255: "pending",
};
const NUMBERS = new Map(Object.entries(NAMES).map(([number, name]) => [name, Number(number)]));

export function stateOf(byte: number): string {
  return NAMES[byte] ?? "unknown";
}

export function byteOf(state: string): number {
  return NUMBERS.get(state) ?? 255;
}

export type Grid = { cell: number; columns: number; rows: number; height: number };

/** The largest cells with which all items fitted into a width and a height; never less than 3 pixels. */
export function fitted(count: number, width: number, most: number): Grid {
  for (let cell = 14; cell >= 3; cell -= 1) {
    const columns = Math.max(1, Math.floor(width / cell));
    const rows = Math.ceil(count / columns);
    if (rows * cell <= most || cell === 3) return { cell, columns, rows, height: rows * cell };
  }
  return { cell: 3, columns: 1, rows: count, height: count * 3 };
}

export function countStates(states: Uint8Array): Record<string, number> {
  const counts = new Uint32Array(256);
  for (const byte of states) counts[byte] = (counts[byte] ?? 0) + 1;
  const found: Record<string, number> = {};
  counts.forEach((count, byte) => {
    if (count > 0) found[stateOf(byte)] = count;
  });
  return found;
}
