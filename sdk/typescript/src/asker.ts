/** Requests of the client: retried where that is harmless; waits survive restarts of the server. */

import { WaitTimeout } from "./errors.js";
import type { Place } from "./place.js";
import { type Frame, Parser } from "./sse.js";
import { Again, type Call, LONGEST_POLL_MS, PATIENCE_MS, broken, open, pause, send } from "./wire.js";

/** Time without data after which a stream counts as dead; the server sends a comment every 15 seconds. */
const SILENCE_MS = 45_000;
/** Wait before the next poll when an answer came earlier than requested. */
const EARLY_MS = 200;

/** Requests of one `each` that wait at once. */
const WAITS_AT_ONCE = 50;
/** One poll while more wait than that. */
const TURN_MS = 500;

/** Options of a wait. */
export interface WaitOptions {
  timeoutMs?: number | undefined;
  /** Ends the wait with its reason; what is waited for goes on. */
  signal?: AbortSignal | undefined;
}

/** Sends requests, again where that can do no harm. */
export class Asker {
  constructor(
    readonly place: Place,
    readonly retryForMs: number,
  ) {}

  /** `tried` is called after each try, with its error. */
  async ask<T>(call: Call<T>, patienceMs = this.retryForMs, tried?: (error?: unknown) => void, signal?: AbortSignal): Promise<T> {
    let again: Again | undefined;
    for (;;) {
      try {
        const answer = await send(this.place, call, signal);
        tried?.();
        return answer;
      } catch (error) {
        tried?.(error);
        again ??= new Again(patienceMs);
        const wait = again.after(call, error);
        if (wait === undefined) throw error;
        await pause(wait, signal);
      }
    }
  }

  /** Returns the time for which a wait continues without the server. */
  patience(leftMs = PATIENCE_MS): number {
    return this.retryForMs === 0 ? 0 : Math.min(PATIENCE_MS, leftMs);
  }

  /** Waits for an end. Throws WaitTimeout, or the reason of `signal`. */
  async wait<T extends { ended: boolean }>(
    what: string, call: (pollMs: number) => Call<T>, options: WaitOptions = {},
  ): Promise<T> {
    const { timeoutMs, signal } = options;
    const until = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    for (;;) {
      const found = await this.#poll(call, LONGEST_POLL_MS, until, signal);
      if (found.ended) return found;
      if (performance.now() >= until) throw new WaitTimeout(`${what} has not ended within ${timeoutMs} ms; it goes on`);
    }
  }

  /**
   * Waits for many ends, and yields each as it comes. A bounded number of requests wait at once. Further ids take turns, so
   * that an end may be seen late.
   */
  async *each<T extends { ended: boolean }>(
    ids: string[], call: (id: string, pollMs: number) => Call<T>, options: WaitOptions = {},
  ): AsyncGenerator<T> {
    const { timeoutMs, signal } = options;
    const until = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    const waiting = [...ids];
    const ended: T[] = [];
    const leave = new AbortController();
    const stop = signal ? AbortSignal.any([signal, leave.signal]) : leave.signal;
    let left = waiting.length;
    let wake = (): void => undefined;
    let failed: { error: unknown } | undefined;
    const work = async (): Promise<void> => {
      for (let id = waiting.shift(); id !== undefined && !failed; id = waiting.shift()) {
        const one = id;
        const found = await this.#poll((poll) => call(one, poll), waiting.length > 0 ? TURN_MS : LONGEST_POLL_MS, until, stop);
        if (found.ended) ended.push(found);
        else if (performance.now() < until) waiting.push(id);
        else throw new WaitTimeout(`${left} of ${ids.length} have not ended within ${timeoutMs} ms; they go on`);
        wake();
      }
    };
    const refuse = (error: unknown): void => {
      failed ??= { error };
      wake();
    };
    try {
      for (let at = Math.min(WAITS_AT_ONCE, waiting.length); at > 0; at--) work().catch(refuse);
      while (left > 0) {
        for (let found = ended.shift(); found; found = ended.shift()) {
          left -= 1;
          yield found;
        }
        if (failed) throw failed.error;
        if (left > 0 && ended.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      leave.abort();
    }
  }

  /** One request that waits, no longer than `until`. */
  async #poll<T extends { ended: boolean }>(
    call: (pollMs: number) => Call<T>, mostMs: number, until: number, signal: AbortSignal | undefined,
  ): Promise<T> {
    const asked = performance.now();
    const left = Math.max(until - asked, 0);
    const poll = Math.round(Math.min(mostMs, left));
    const found = await this.ask(call(poll), this.patience(left), undefined, signal);
    // A server on its way down does not wait.
    if (!found.ended && poll > 0 && performance.now() - asked < poll / 2) await pause(EARLY_MS, signal);
    return found;
  }

  /** Events until the stream ends or is interrupted. */
  async *frames(call: Call<unknown>, lastId: string | undefined, again: Again): AsyncGenerator<Frame> {
    const leave = new AbortController();
    let silence = setTimeout(() => leave.abort(), SILENCE_MS);
    try {
      const headers = lastId === undefined ? [] : ["last-event-id", lastId];
      const parser = new Parser();
      const chunks = (await open(this.place, call, leave.signal, headers))[Symbol.asyncIterator]();
      for (;;) {
        const { done, value } = await chunks.next().catch((error: unknown) => {
          throw broken(this.place.url, error);
        });
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => leave.abort(), SILENCE_MS);
        yield* parser.feed(value);
      }
    } catch (error) {
      const wait = again.after(call, error);
      if (wait === undefined) throw error;
      await pause(wait);
    } finally {
      clearTimeout(silence);
      // A consumer that stops closes the connection.
      leave.abort();
    }
  }
}
