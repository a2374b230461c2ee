/** Waits for the ends of tasks. One alone asks for its task, several share a stream. */

import { setMaxListeners } from "node:events";

import type { Asker, WaitOptions } from "./asker.js";
import { WaitTimeout } from "./errors.js";
import { NoStream } from "./lines.js";
import { Task } from "./model.js";
import { Results } from "./results.js";
import { type Packed, Submitter } from "./submitter.js";
import { Broken, type Call, LONGEST_POLL_MS, freshKey } from "./wire.js";

const read = (raw: Record<string, unknown>): Task => new Task(raw);

/** The call that asks for a task, and waits for its end. */
export const taskCall = (id: string, waitMs = 0): Call<Task> => {
  if (!id) throw new RangeError("an id or name is empty");
  return { method: "GET", path: `/api/v1/tasks/${encodeURIComponent(id)}`, read, waitMs, query: { wait_ms: waitMs || undefined } };
};

/** The waits of a client. */
export class Ends {
  readonly #results: Results;
  readonly #submitter: Submitter;
  /** Waits that ask for their tasks. */
  #alone = 0;

  constructor(
    private readonly asker: Asker,
    longPoll: boolean,
  ) {
    this.#results = new Results(asker, !longPoll);
    this.#submitter = new Submitter(asker, this.#results);
  }

  /** Waits for the end of a task. */
  async wait(id: string, options: WaitOptions): Promise<Task> {
    if (!this.#shares()) return this.#ask(() => this.asker.wait(id, (poll) => taskCall(id, poll), options));
    return this.#shared(id, options);
  }

  /** Submits a task and waits for its end. Alone it takes one request. */
  async run(task: Packed, options: WaitOptions): Promise<Task> {
    const began = performance.now();
    const left = (): WaitOptions => {
      const { timeoutMs, signal } = options;
      return { signal, timeoutMs: timeoutMs === undefined ? undefined : Math.max(timeoutMs - (performance.now() - began), 0) };
    };
    if (task.alone || !this.#shares()) {
      return this.#ask(async () => {
        const found = await this.#submit(task.body, task.key, options);
        if (found.ended) return found;
        return this.#late(found.id, options, this.asker.wait(found.id, (poll) => taskCall(found.id, poll), left()));
      });
    }
    return this.#results.during(async () => {
      const { raw, stream } = await this.#submitter.submit(task.body, task.delayed);
      this.#results.submitted(stream, raw["id"]);
      // Not awaited here: its end may come long after the submits.
      return { ended: this.#shared(raw["id"], left()), id: String(raw["id"]) };
    }).then(({ ended, id }) => this.#late(id, options, ended));
  }

  /** Yields each task once, as it ends. */
  async *each(ids: string[], options: WaitOptions): AsyncGenerator<Task> {
    const left = new Set(ids);
    if (ids.length > 1 && this.#results.usable) yield* this.#stream(left, options);
    if (left.size > 0) yield* this.asker.each([...left], taskCall, options);
  }

  /** Yields each of the tasks that the stream tells of, and takes it off the set. */
  async *#stream(left: Set<string>, options: WaitOptions): AsyncGenerator<Task> {
    const all = left.size;
    const leave = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, leave.signal]) : leave.signal;
    // One signal ends many waits; Node would warn of a leak.
    setMaxListeners(0, signal);
    const ended: Task[] = [];
    let failed: { error: unknown } | undefined;
    let wake = (): void => undefined;
    const took = (raw: Record<string, unknown>): void => {
      ended.push(read(raw));
      wake();
    };
    const refused = (error: unknown): void => {
      failed ??= { error };
      wake();
    };
    for (const id of left) this.#results.wait(id, { ...options, signal }).then(took, refused);
    try {
      while (left.size > 0) {
        for (const task of ended.splice(0)) {
          left.delete(task.id);
          yield task;
        }
        if (failed?.error instanceof NoStream) return;
        if (failed) throw failed.error instanceof WaitTimeout ? unended(left.size, all, options) : failed.error;
        if (left.size > 0 && ended.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      leave.abort();
    }
  }

  /** A stream pays from the second wait on. */
  #shares(): boolean {
    return this.#results.usable && (this.#alone > 0 || this.#results.active);
  }

  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    this.#alone += 1;
    try {
      return await ask();
    } finally {
      this.#alone -= 1;
    }
  }

  async #shared(id: string, options: WaitOptions): Promise<Task> {
    try {
      return new Task(await this.#results.wait(id, options));
    } catch (error) {
      if (!(error instanceof NoStream)) throw error;
      return this.asker.wait(id, (poll) => taskCall(id, poll), options);
    }
  }

  /** Submits a task; the answer waits for its end. */
  async #submit(content: string, key: string | undefined, { timeoutMs, signal }: WaitOptions): Promise<Task> {
    const waitMs = Math.round(Math.min(LONGEST_POLL_MS, timeoutMs ?? LONGEST_POLL_MS));
    const call: Call<Task> = {
      method: "POST", path: "/api/v1/tasks", content, key: key ?? freshKey(), read, waitMs, query: { wait_ms: waitMs },
    };
    let lost = false;
    const tried = (error?: unknown): void => void (lost ||= error instanceof Broken && !error.unsent);
    try {
      return await this.asker.ask(call, undefined, tried, signal);
    } catch (error) {
      // The task may have been submitted; then its end is waited for as long as for any other.
      if (!lost || !(error instanceof Broken)) throw error;
      return this.asker.ask(call, this.asker.patience(timeoutMs), undefined, signal);
    }
  }

  /** The time that counts is that of the whole call, not of its last wait. */
  async #late(id: string, { timeoutMs }: WaitOptions, ended: Promise<Task>): Promise<Task> {
    try {
      return await ended;
    } catch (error) {
      if (!(error instanceof WaitTimeout)) throw error;
      throw new WaitTimeout(`${id} has not ended within ${timeoutMs} ms; it goes on`);
    }
  }
}

function unended(left: number, all: number, { timeoutMs }: WaitOptions): WaitTimeout {
  return new WaitTimeout(`${left} of ${all} have not ended within ${timeoutMs} ms; they go on`);
}
