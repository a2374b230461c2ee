// What is known of one run, outside of React: its rows by path, renewed by what comes over the socket.
import type { Task } from "../../api/paths";
import { read } from "../../api/query";
import type { LiveFrame, TaskDelta } from "../../live/frames";
import { indexOf, split } from "./model/path";
import type { Row } from "./model/tree";

/** Rows read at most; a fan-out beyond them is shown by its counts and its heat map. */
const MOST = 4_000;
const PAGE = 1_000;
const CHARACTERS = 200_000;

export type Written = { step: string; task: string; text: string; ended: boolean };

export class RunStore {
  readonly rows = new Map<string, Row>();
  /** What models write, by task, attempt and part. */
  readonly texts = new Map<string, Written>();
  /** Readers of the states of single items, by their holder. */
  private readonly items = new Map<string, Set<(changes: [number, string][]) => void>>();
  private version = 0;
  private list: Row[] = [];
  private listed = -1;
  private reading = false;
  private again = false;
  /** Whether not all rows were read. */
  partial = false;
  loaded = false;
  error: unknown = null;
  private readonly listeners = new Set<() => void>();

  constructor(readonly id: string) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly snapshot = (): number => this.version;

  private changed(): void {
    this.version += 1;
    for (const listener of this.listeners) listener();
  }

  /** All rows; the same array until something has changed. */
  get all(): readonly Row[] {
    if (this.listed !== this.version) {
      this.list = [...this.rows.values()];
      this.listed = this.version;
    }
    return this.list;
  }

  /** Reads all rows over HTTP. */
  async load(): Promise<void> {
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    try {
      let cursor: string | undefined;
      let count = 0;
      do {
        const query = { limit: PAGE, outputs: false, ...(cursor ? { cursor } : {}) };
        const page = await read("/api/v1/runs/{id}/steps", { params: { path: { id: this.id }, query } });
        for (const step of page.steps) this.put(step);
        count += page.steps.length;
        cursor = page.next_cursor ?? undefined;
        this.partial = cursor !== undefined;
        this.loaded = true;
        this.changed();
      } while (cursor && count < MOST);
      this.error = null;
    } catch (refused) {
      this.error = refused;
      this.changed();
    }
    this.reading = false;
    if (this.again) {
      this.again = false;
      await this.load();
    }
  }

  private put(step: Task): void {
    const { output: _, ...row } = step;
    this.rows.set(step.step ?? step.id, row as Row);
  }

  /** Takes frames of the run's topic. Returns whether everything is to be read again. */
  take(frames: readonly LiveFrame[]): boolean {
    const touched = new Map<string, [number, string][]>();
    let resync = false;
    let any = false;
    for (const frame of frames) {
      resync ||= frame.resync === true;
      for (const delta of frame.steps ?? []) {
        this.merge(delta);
        any = true;
        const index = delta.step ? indexOf(delta.step) : null;
        if (index === null || !delta.step) continue;
        const { parent } = split(delta.step);
        const changes = touched.get(parent) ?? [];
        changes.push([index, delta.state]);
        touched.set(parent, changes);
      }
      for (const one of frame.texts ?? []) {
        any = true;
        const key = `${one.task}.${one.attempt}.${one.part}`;
        const was = one.offset === 0 ? "" : (this.texts.get(key)?.text ?? "");
        this.texts.set(key, {
          step: one.step ?? one.task,
          task: one.task,
          text: (was + one.text).slice(-CHARACTERS),
          ended: one.ended,
        });
      }
    }
    for (const [holder, changes] of touched) for (const reader of this.items.get(holder) ?? []) reader(changes);
    if (any) this.changed();
    return resync;
  }

  private merge(delta: TaskDelta): void {
    const path = delta.step ?? delta.id;
    const was = this.rows.get(path);
    if (!was && this.rows.size >= MOST) return;
    const { at, needs_nanousd: _, wait: _w, ...fields } = delta;
    const ended = delta.ended_at ?? (ENDED.has(delta.state) ? at : undefined);
    this.rows.set(path, {
      created_at: at,
      ...was,
      ...fields,
      ...(delta.state === "running" && !delta.started_at ? { started_at: was?.started_at ?? at } : {}),
      ended_at: ended,
    } as Row);
  }

  /** Tells of states of items of a holder as they change. */
  readItems(holder: string, reader: (changes: [number, string][]) => void): () => void {
    const all = this.items.get(holder) ?? new Set();
    all.add(reader);
    this.items.set(holder, all);
    return () => all.delete(reader);
  }
}

const ENDED = new Set(["succeeded", "failed", "cancelled", "skipped", "discarded"]);
