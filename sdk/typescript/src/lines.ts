/** Lines of JSON out of an answer that does not end. */

import { Unreachable } from "./errors.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { type Stream, type Up, text } from "./transport.js";
import { type Call, broken, open } from "./wire.js";

/** Time in which the first line must come. A proxy that collects answers lets none through. */
const FIRST_MS = 5_000;
/** Time without data after which a stream counts as cut. The server sends a sign of life every 10 seconds. */
const SILENCE_MS = 30_000;
const CHECK_MS = 5_000;
const LONGEST = 64 * 1024 * 1024;

/** The server, or something on the way to it, offers no such stream. */
export class NoStream extends Unreachable {
  /** The first line did not come in time. A busy server may be the cause. */
  readonly late: boolean;

  constructor(message: string, { late = false, cause }: { late?: boolean; cause?: unknown } = {}) {
    super(message, { cause });
    this.late = late;
  }
}

/** Calls `f` at an interval, which alone does not keep the program from ending. */
export function idly(f: () => void, ms: number): number {
  const timer = setInterval(f, ms);
  (timer as unknown as { unref: () => void }).unref();
  return timer;
}

/** Splits bytes at line ends. */
class Splitter {
  #rest: Uint8Array[] = [];
  #length = 0;

  /** Returns the lines that these bytes complete. */
  feed(chunk: Uint8Array): string[] {
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      this.#rest.push(chunk);
      this.#length += chunk.length;
      if (this.#length > LONGEST) throw new Unreachable("the server sent a line without an end");
      return [];
    }
    const whole = chunk.subarray(0, end);
    const lines = text(this.#rest.length > 0 ? Buffer.concat([...this.#rest, whole]) : whole).split("\n");
    this.#rest = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    this.#length = chunk.length - end - 1;
    return lines;
  }
}

/**
 * Opens a stream of lines and calls `heard` for each, the first included. Resolves when the stream ends or is cut after its
 * first line. Rejects before that: with the refusal, with NoStream when nothing lets the stream through, or with the failure
 * of the network. `leave` ends it; then it resolves.
 */
export async function lines(
  place: Place, call: Call<unknown>, leave: AbortSignal, heard: (line: Json) => void,
  { opened, up }: { opened?: (stream: Stream) => void; up?: Up } = {},
): Promise<void> {
  const over = new AbortController();
  const end = (): void => over.abort();
  leave.addEventListener("abort", end);
  let late = false;
  const first = setTimeout(() => {
    late = true;
    end();
  }, FIRST_MS);
  try {
    const stream = await open(place, call, over.signal, [], up);
    opened?.(stream);
    await new Promise<void>((resolve, reject) => {
      const splitter = new Splitter();
      let begun = false;
      let heardAt = performance.now();
      const silence = idly(() => performance.now() - heardAt > SILENCE_MS && end(), CHECK_MS);
      const done = (error?: unknown): void => {
        clearInterval(silence);
        if (begun || leave.aborted) resolve();
        else reject(error ?? new Unreachable(`${place.url}: the stream ended before it began`));
      };
      stream.on("data", (chunk) => {
        heardAt = performance.now();
        try {
          for (const line of splitter.feed(chunk)) {
            if (!begun) {
              begun = true;
              clearTimeout(first);
            }
            heard(JSON.parse(line));
          }
        } catch (error) {
          reject(error instanceof SyntaxError ? new Unreachable(`${place.url}: a line of the stream is not JSON`, { cause: error }) : error);
          end();
        }
      });
      stream.on("error", (error) => done(broken(place.url, error)));
      stream.on("close", () => done());
    });
  } catch (error) {
    if (leave.aborted) return;
    if (late) throw new NoStream(`${place.url}: no line of the stream came within ${FIRST_MS / 1000} s`, { late });
    throw error;
  } finally {
    clearTimeout(first);
    leave.removeEventListener("abort", end);
    end();
  }
}
