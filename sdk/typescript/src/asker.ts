/** Requests of the client: retried where that is harmless; waits survive restarts of the server. */

import { WaitTimeout } from "./errors.js";
import type { Place } from "./place.js";
import { type Frame, Parser } from "./sse.js";
import { Again, type Call, LONGEST_POLL_MS, PATIENCE_MS, broken, open, pause, send } from "./wire.js";

/** Time without data after which a stream counts as dead; the server sends a comment every 15 seconds. */
const SILENCE_MS = 45_000;
/** Wait before the next poll when an answer came earlier than requested. */
const EARLY_MS = 200;

/** Sends requests, and retries where that is harmless. */
export class Asker {
  constructor(
    readonly place: Place,
    readonly retryForMs: number,
  ) {}

  async ask<T>(call: Call<T>, patienceMs = this.retryForMs): Promise<T> {
    const again = new Again(patienceMs);
    for (;;) {
      try {
        return await send(this.place, call);
      } catch (error) {
        const wait = again.after(call, error);
        if (wait === undefined) throw error;
        await pause(wait);
      }
    }
  }

  /** Returns the time for which a wait continues without the server. */
  patience(leftMs = PATIENCE_MS): number {
    return this.retryForMs === 0 ? 0 : Math.min(PATIENCE_MS, leftMs);
  }

  async wait<T extends { ended: boolean }>(what: string, call: (pollMs: number) => Call<T>, timeoutMs?: number): Promise<T> {
    const until = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    for (;;) {
      const left = Math.max(until - performance.now(), 0);
      const asked = performance.now();
      const poll = Math.round(Math.min(LONGEST_POLL_MS, left));
      const found = await this.ask(call(poll), this.patience(left));
      if (found.ended) return found;
      if (performance.now() >= until) throw new WaitTimeout(`${what} has not ended within ${timeoutMs} ms; it goes on`);
      // A server that shuts down does not wait.
      if (performance.now() - asked < poll / 2) await pause(EARLY_MS);
    }
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
