/** How the client asks: again where that can do no harm, and through restarts of the server where it waits. */

import { Unreachable, WaitTimeout } from "./errors.js";
import type { Place } from "./place.js";
import { type Frame, Parser } from "./sse.js";
import { Again, type Call, LONGEST_POLL_MS, PATIENCE_MS, broken, open, pause, refused, send } from "./wire.js";

/** Without a sign of life for that long a stream is taken for dead; the server sends one every 15 seconds. */
const SILENCE_MS = 45_000;
/** Before asking again when an answer came earlier than asked for. */
const EARLY_MS = 200;

/** Sends requests, again where that can do no harm. */
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

  /** How long a wait goes on without the server. */
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
      // A server on its way down does not wait.
      if (performance.now() - asked < poll / 2) await pause(EARLY_MS);
    }
  }

  /** Events until the stream ends or is interrupted. */
  async *frames(call: Call<unknown>, headers: Record<string, string>, again: Again): AsyncGenerator<Frame> {
    const leave = new AbortController();
    let silence = setTimeout(() => leave.abort(), SILENCE_MS);
    try {
      const response = await open(this.place, call, leave.signal, headers);
      if (!response.ok) throw refused(this.place.url, response, await response.text());
      if (!response.body) throw new Unreachable(`${this.place.url}: the stream is empty`);
      const parser = new Parser();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read().catch((error: unknown) => {
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
      // Who stops listening closes the connection.
      leave.abort();
    }
  }
}
