/** The tasks that the server pushes to a host, as far as the host's free slots go. */

import type { Claimed } from "./context.js";
import { NotFound, Problem, problem } from "./errors.js";
import { NoStream, lines } from "./lines.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { Broken, Strange } from "./wire.js";

/** Statuses of a server, or of a proxy, that does not know the stream, or has too many. */
const UNKNOWN = new Set([404, 405, 429, 501]);
/** Characters of a line. A longer frame is a request of its own. */
const LONGEST = 64 * 1024;

/** The way of a stream: both directions on one connection, or the server's alone. */
export type Way = "duplex" | "stream";

/** What a host does with what it hears. */
export interface Heard {
  tasks: (tasks: Claimed[]) => void;
  /** Attempts that are not wanted any more. */
  cancel: (tokens: string[]) => void;
}

/** A frame that waits for its answer. */
interface Frame {
  resolve: (results: Json[]) => void;
  reject: (error: unknown) => void;
}

/**
 * A stream of tasks. `credit` is the number of tasks that the server may have pushed since the stream was opened: it begins
 * with the free slots and rises by one for each slot that becomes free.
 */
export class Feed {
  /** The id of the open stream. */
  #stream = "";
  #credit = 0;
  #told = 0;
  /** Writes a line of a stream that goes both ways. */
  #write: ((text: string) => void) | undefined;
  readonly #frames = new Map<number, Frame>();
  #number = 0;
  /** The host of the last stream that began. */
  #known = "";

  constructor(
    private readonly place: Place,
    private readonly heard: Heard,
  ) {}

  /**
   * Hears tasks until the stream ends or `leave` is raised. Rejects when it does not begin: with NotFound when the host must
   * register again, with NoStream when there is no such way.
   */
  async hear(way: Way, host: string, free: number, leave: AbortSignal): Promise<void> {
    this.#stream = "";
    this.#credit = this.#told = free;
    const content = `{"credit":${free}}\n`;
    const call = { method: "POST" as const, path: `/api/v1/hosts/${host}/${way}`, content, read: () => undefined };
    const up = (write: (text: string) => void): void => void (this.#write = write);
    const both = way === "duplex" ? { ...call, mediaType: "application/x-ndjson" } : call;
    try {
      await lines(this.place, both, leave, (line) => this.#line(host, line), way === "duplex" ? { up } : {});
    } catch (error) {
      // A host that had a stream is unknown to a restarted server. One that never had may ask for something unknown.
      const restarted = error instanceof NotFound && this.#known === host;
      const status = error instanceof Problem || error instanceof Strange ? error.status : 0;
      if (!restarted && UNKNOWN.has(status)) throw new NoStream(`${this.place.url} answered ${status} to a stream`, { cause: error });
      throw error;
    } finally {
      this.#stream = "";
      this.#write = undefined;
      for (const frame of this.#frames.values()) frame.reject(new Broken(`${this.place.url}: the stream was cut`, false, undefined));
      this.#frames.clear();
    }
  }

  #line(host: string, line: Json): void {
    if (line.tasks) this.heard.tasks(line.tasks);
    else if (line.n) this.#answered(line);
    else if (line.cancel) this.heard.cancel(line.cancel);
    else if (line.stream) {
      this.#stream = line.stream;
      this.#known = host;
    }
  }

  #answered({ n, answer, error }: Json): void {
    const frame = this.#frames.get(n);
    this.#frames.delete(n);
    if (answer) frame?.resolve(answer.results ?? []);
    else frame?.reject(problem(error));
  }

  /** A slot has become free. */
  freed(): void {
    this.#credit += 1;
  }

  /** The server has not been told of all free slots. */
  get behind(): boolean {
    return this.#stream !== "" && this.#credit > this.#told;
  }

  /** Sends reports up the stream. Returns undefined when a request must carry them. */
  send(reports: string): Promise<Json[]> | undefined {
    if (this.#stream === "" || !this.#write || reports.length > LONGEST) return undefined;
    const n = ++this.#number;
    const sent = new Promise<Json[]>((resolve, reject) => this.#frames.set(n, { resolve, reject }));
    this.#told = this.#credit;
    this.#write(`{"n":${n},"credit":${this.#credit},"reports":[${reports}]}\n`);
    return sent;
  }

  /** What a request says of the open stream, and what to do once the server has it. Undefined without an open stream. */
  frame(): { fields: string; taken: () => void } | undefined {
    const [stream, credit] = [this.#stream, this.#credit];
    if (stream === "") return undefined;
    const taken = (): void => {
      if (stream === this.#stream) this.#told = Math.max(this.#told, credit);
    };
    return { fields: `"stream":${JSON.stringify(stream)},"credit":${credit}`, taken };
  }
}
