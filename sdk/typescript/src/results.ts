/** The ends of tasks: one stream tells of all that are waited for. */

import type { Asker, WaitOptions } from "./asker.js";
import { KapelleError, Problem, Unreachable, WaitTimeout } from "./errors.js";
import { NoStream, idly, lines } from "./lines.js";
import type { Json } from "./model.js";
import type { Stream } from "./transport.js";
import { Again, type Call, Strange, pause } from "./wire.js";

type Raw = Record<string, Json>;

/** Tasks that one stream tells of. */
const MOST = 10_000;
/** Time for which a stream without waits stays open. */
const LINGER_MS = 4_000;
/** The wait before the next stream, after one that ended soon. */
const REST_MS = 200;
/** Statuses of a server, or of a proxy, that does not know such streams. */
const UNKNOWN = new Set([404, 405, 501]);
/** The status of a server that has too many of them now. */
const FULL = 429;

interface Wait {
  resolve: (raw: Raw) => void;
  reject: (error: unknown) => void;
}

/** The stream of a client. It is open while tasks are waited for, and a few seconds longer. */
export class Results {
  readonly #waits = new Map<string, Wait[]>();
  /** Ends of tasks whose submits are not answered yet. */
  readonly #early = new Map<string, Raw>();
  #submits = 0;
  /** Ids that the stream has not been told of, and those that it need not tell of any more. */
  #fresh = new Set<string>();
  #forgotten: string[] = [];
  /** Ids that the open stream tells of. */
  #told = new Set<string>();
  #stream = "";
  #answer: Stream | undefined;
  #leave = new AbortController();
  #listening = false;
  #updating = false;
  #opened: { promise: Promise<string>; resolve: (stream: string) => void } | undefined;

  constructor(
    private readonly asker: Asker,
    /** Whether a stream may be tried at all. */
    public usable: boolean,
  ) {}

  /** A stream is open, or being opened. */
  get active(): boolean {
    return this.#listening;
  }

  /** The id of the stream, once it is open. Empty when none can be opened. */
  open(): Promise<string> {
    if (this.#stream || !this.usable) return Promise.resolve(this.#stream);
    if (!this.#opened) {
      let resolve: (stream: string) => void = () => undefined;
      const promise = new Promise<string>((done) => (resolve = done));
      this.#opened = { promise, resolve };
    }
    this.#listen();
    return this.#opened.promise;
  }

  /** Does submits whose tasks the stream tells of. Ends that come before their answers are kept. */
  async during<T>(submits: () => Promise<T>): Promise<T> {
    this.#submits += 1;
    try {
      return await submits();
    } finally {
      if (--this.#submits === 0) this.#early.clear();
    }
  }

  /** Tasks were submitted for a stream. Another one that is open by now must be told of them. */
  submitted(stream: string, id: string): void {
    if (stream !== "" && stream === this.#stream && !this.#early.has(id)) this.#told.add(id);
  }

  /** Waits for the end of a task. Rejects with NoStream when it must be polled for. */
  wait(id: string, { timeoutMs, signal }: WaitOptions): Promise<Raw> {
    const early = this.#early.get(id);
    if (early) {
      this.#early.delete(id);
      return Promise.resolve(early);
    }
    if (!this.usable) return Promise.reject(new NoStream("no stream of results"));
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const settle = (): void => {
        clearTimeout(late);
        signal?.removeEventListener("abort", aborted);
      };
      const wait: Wait = {
        resolve: (raw) => (settle(), resolve(raw)),
        reject: (error) => (settle(), reject(error)),
      };
      const give = (error: unknown): void => {
        this.#drop(id, wait);
        wait.reject(error);
      };
      const aborted = (): void => give(signal?.reason);
      const late = timeoutMs === undefined ? undefined : setTimeout(
        () => give(new WaitTimeout(`${id} has not ended within ${timeoutMs} ms; it goes on`)), timeoutMs,
      );
      signal?.addEventListener("abort", aborted);
      this.#add(id, wait);
    });
  }

  #add(id: string, wait: Wait): void {
    const waits = this.#waits.get(id);
    if (waits) return void waits.push(wait);
    if (this.#waits.size === 0) this.#answer?.socket.ref();
    this.#waits.set(id, [wait]);
    if (!this.#told.has(id)) this.#fresh.add(id);
    this.#listen();
    this.#update();
  }

  #drop(id: string, wait: Wait): void {
    const left = this.#waits.get(id)?.filter((other) => other !== wait) ?? [];
    if (left.length > 0) return void this.#waits.set(id, left);
    this.#waits.delete(id);
    this.#fresh.delete(id);
    if (this.#told.delete(id)) this.#forgotten.push(id);
    if (this.#waits.size === 0) this.#rest();
  }

  #take(id: string): Wait[] {
    const waits = this.#waits.get(id) ?? [];
    this.#waits.delete(id);
    this.#fresh.delete(id);
    this.#told.delete(id);
    if (this.#waits.size === 0) this.#rest();
    return waits;
  }

  /** Nobody waits: the stream must not keep the program from ending. */
  #rest(): void {
    if (this.#answer) this.#answer.socket.unref();
    else if (this.#submits === 0) this.#leave.abort();
  }

  #line(line: Json): void {
    if (line.task) {
      const raw: Raw = line.task;
      const id: string = raw["id"];
      const waits = this.#take(id);
      if (waits.length === 0 && this.#submits > 0) this.#early.set(id, raw);
      for (const wait of waits) wait.resolve(raw);
      if (this.#fresh.size > 0) this.#update();
    } else if (line.stream) {
      this.#stream = line.stream;
      this.#opened?.resolve(line.stream);
      this.#opened = undefined;
      this.#missing(line);
      this.#update();
    }
  }

  /** Rejects waits for tasks that do not exist. */
  #missing({ missing = [] }: Json): void {
    for (const id of missing) void this.#refuse(id);
  }

  /** The answer to a request for the task itself says what is wrong. */
  async #refuse(id: string): Promise<void> {
    const call: Call<Raw> = { method: "GET", path: `/api/v1/tasks/${encodeURIComponent(id)}`, read: (raw) => raw };
    try {
      await this.asker.ask(call);
      throw new Unreachable(`${id}: the server does not tell of its end`);
    } catch (error) {
      for (const wait of this.#take(id)) wait.reject(error);
    }
  }

  #listen(): void {
    if (this.#listening || !this.usable) return;
    this.#listening = true;
    void this.#work().finally(() => {
      this.#listening = false;
      this.#opened?.resolve("");
      this.#opened = undefined;
      // Somebody came while it was ending.
      if (this.#waits.size > 0) this.#listen();
    });
  }

  /** Keeps a stream open while somebody waits. Never rejects. */
  async #work(): Promise<void> {
    let idle = 0;
    let late = 0;
    const closing = idly(() => {
      idle = this.#waits.size + this.#submits > 0 ? 0 : idle + LINGER_MS / 2;
      if (idle >= LINGER_MS) this.#leave.abort();
    }, LINGER_MS / 2);
    let again = new Again(this.asker.patience());
    try {
      while (this.#waits.size > 0 || this.#opened) {
        const began = performance.now();
        try {
          await this.#hear();
          again = new Again(this.asker.patience());
          late = 0;
          if (this.#waits.size > 0 && performance.now() - began < 1_000) await pause(REST_MS);
        } catch (error) {
          // A busy server may be late once.
          if (error instanceof NoStream && error.late && ++late < 2) continue;
          const wait = error instanceof NoStream ? undefined : again.after(OPEN, error);
          if (wait === undefined) return this.#fail(error);
          await pause(wait);
        }
      }
    } finally {
      clearInterval(closing);
    }
  }

  async #hear(): Promise<void> {
    this.#leave = new AbortController();
    const ids = [...this.#waits.keys()].slice(0, MOST);
    this.#told = new Set(ids);
    this.#fresh = new Set([...this.#waits.keys()].slice(MOST));
    this.#forgotten = [];
    try {
      const opened = (answer: Stream): void => void (this.#answer = answer);
      await lines(this.asker.place, { ...OPEN, body: { tasks: ids } }, this.#leave.signal, (line) => this.#line(line), { opened });
    } catch (error) {
      const status = error instanceof Problem || error instanceof Strange ? error.status : 0;
      if (status !== FULL && !UNKNOWN.has(status)) throw error;
      throw new NoStream(`${this.asker.place.url} offers no stream of results`, { cause: error });
    } finally {
      this.#stream = "";
      this.#answer = undefined;
      this.#told.clear();
    }
  }

  #fail(error: unknown): void {
    const full = error instanceof NoStream && error.cause instanceof Problem && error.cause.status === FULL;
    if (error instanceof NoStream && !full) this.usable = false;
    const waits = [...this.#waits.values()].flat();
    this.#waits.clear();
    this.#fresh.clear();
    for (const wait of waits) wait.reject(error);
  }

  /** Tells the open stream of further tasks. What comes meanwhile goes with the next request. */
  #update(): void {
    if (this.#updating || !this.#stream || this.#fresh.size === 0) return;
    this.#updating = true;
    // Waits that begin in this turn of the event loop go along.
    queueMicrotask(() => void this.#send());
  }

  async #send(): Promise<void> {
    try {
      while (this.#stream && this.#fresh.size > 0 && this.#told.size < MOST) {
        const stream = this.#stream;
        const tasks = [...this.#fresh].slice(0, MOST - this.#told.size);
        const forget = this.#forgotten.splice(0, MOST);
        for (const id of tasks) {
          this.#fresh.delete(id);
          this.#told.add(id);
        }
        const path = `/api/v1/results/${encodeURIComponent(stream)}`;
        const call: Call<Json> = { method: "POST", path, body: { tasks, forget }, read: (raw) => raw, repeatable: true };
        try {
          this.#missing(await this.asker.ask(call));
        } catch (error) {
          // The next stream begins with all that are waited for.
          if (stream === this.#stream) this.#leave.abort();
          if (!(error instanceof KapelleError)) throw error;
        }
      }
    } finally {
      this.#updating = false;
    }
  }
}

const OPEN: Call<unknown> = { method: "POST", path: "/api/v1/results", read: () => undefined, repeatable: true };
