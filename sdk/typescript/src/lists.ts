/** Ids, paths and pages: what the nouns of the client have in common. */

import type { Asker } from "./asker.js";
import { type Json, Page, Task } from "./model.js";

/** An object as it travels. */
export type Raw = Record<string, Json>;

/** Returns an id or a name as a part of a path. */
export function part(text: string): string {
  if (!text) throw new RangeError("an id or name is empty");
  return encodeURIComponent(text);
}

/** The id of a task or run that was passed whole. */
export function idOf(given: string | { id: string }): string {
  return typeof given === "string" ? given : given.id;
}

/** Reads a task. */
export const task = (raw: Json): Task => new Task(raw);
/** Reads what is passed on as it is. */
export const same = (raw: Json): Raw => raw;

/** Requests a list. Its rows stand in `field` of the answer. */
export function list<T>(asker: Asker, path: string, field: string, row: (raw: Json) => T, filter: object = {}): Promise<Page<T>> {
  const more = (cursor: string): Promise<Page<T>> => list(asker, path, field, row, { ...filter, cursor });
  const read = (raw: Json): Page<T> => new Page(raw[field].map(row), raw.next_cursor ?? undefined, more);
  return asker.ask({ method: "GET", path, read, query: { ...filter } });
}

/** Waits for all, and returns them in the order of the ids. */
export async function inOrder<T extends { id: string }>(ids: string[], found: AsyncIterable<T>): Promise<T[]> {
  const ended = new Map<string, T>();
  for await (const one of found) ended.set(one.id, one);
  return ids.map((id) => ended.get(id)!);
}

/** Returns each id once. */
export const distinct = (ids: Iterable<string | { id: string }>): string[] => [...new Set(Array.from(ids, idOf))];
