/** A worker host: claims tasks, runs functions on them, and reports. */

import { hostname } from "node:os";

import { type CancelReason, type Claimed, Context, Stop } from "./context.js";
import { Cancelled, KapelleError, NotFound, Problem, TaskError } from "./errors.js";
import { failure } from "./failure.js";
import { Heart } from "./heart.js";
import { join } from "./membership.js";
import { type Json, type Retry, given, retryWire } from "./model.js";
import { known, texts } from "./options.js";
import { type Place, find } from "./place.js";
import { Reporter, fail, release, succeed } from "./report.js";
import { LONGEST_POLL_MS, pause, send } from "./wire.js";

/** Time for releasing attempts, after a second signal. */
const LAST_WORDS_MS = 3_000;

/** Function of a worker. */
export type WorkerFunction = (ctx: Context, input: Json) => unknown;

/** Options of a worker. */
export interface WorkerOptions {
  description?: string;
  /** Queue of its tasks unless a task names another. */
  queue?: string;
  /** JSON Schema of the input: a submission that does not match is refused. */
  input?: Json;
  /** JSON Schema of the output. */
  output?: Json;
  /** Timeout of an attempt. */
  timeoutMs?: number;
  /** A number stands for `{ maxAttempts }`. */
  retry?: Retry | number;
  /** Only hosts that have all of these labels get its tasks: `gpu`, or `gpu=a100`. */
  requires?: string | readonly string[];
}

const WORKER = new Set(["description", "queue", "input", "output", "timeoutMs", "retry", "requires"]);
const HOST = new Set(["url", "token", "name", "slots", "queues", "labels", "drainTimeoutMs", "log"]);

/** How a host is made. */
export interface HostOptions {
  /** As for `Client`. */
  url?: string;
  /** As for `Client`; a key with the role `worker` is enough. */
  token?: string;
  name?: string;
  /** Limit of running tasks. Default: 4. */
  slots?: number;
  /** The only queues it takes tasks of. */
  queues?: string | readonly string[];
  /** What sets it apart. */
  labels?: Record<string, string>;
  /** Time for running attempts to finish at a shutdown; the rest is released. Default: 30 seconds. */
  drainTimeoutMs?: number;
  /** Sink for messages. Default: console.error. */
  log?: (message: string) => void;
}

interface Attempt {
  token: string;
  name: string;
  claimed: Claimed;
  stop: Stop;
  /** Its report is on its way. */
  told: boolean;
}

/** A process that works on tasks. */
export class Host {
  readonly #options: HostOptions;
  readonly #slots: number;
  readonly #functions = new Map<string, WorkerFunction>();
  readonly #known: Json[] = [];
  readonly #end = new AbortController();
  readonly #hurry = new AbortController();
  readonly #ready: Promise<void>;
  #registered: (error?: unknown) => void = () => undefined;

  constructor(options: HostOptions = {}) {
    known("new Host", options, HOST);
    this.#ready = new Promise((resolve, reject) => {
      this.#registered = (error) => (error === undefined ? resolve() : reject(error));
    });
    // A program that does not wait for it must not end with an unhandled rejection.
    this.#ready.catch(() => undefined);
    this.#options = options;
    this.#slots = options.slots ?? 4;
    if (!Number.isInteger(this.#slots) || this.#slots < 1) throw new RangeError(`slots: ${this.#slots} is less than 1`);
  }

  /** Registers `f(ctx, input)` under a worker's name. */
  worker(name: string, f: WorkerFunction, options: WorkerOptions = {}): this {
    if (typeof f !== "function") throw new TypeError(`worker \`${name}\`: a function (ctx, input) was expected`);
    if (this.#functions.has(name)) throw new RangeError(`worker \`${name}\` is registered twice`);
    known(`host.worker("${name}")`, options, WORKER);
    const { description, queue, input, output, timeoutMs: timeout_ms } = options;
    const retry = options.retry === undefined ? undefined : retryWire(options.retry);
    const requires = texts("requires", options.requires);
    this.#functions.set(name, f);
    this.#known.push(given({ name, description, queue, input, output, timeout_ms, retry, requires }));
    return this;
  }

  /** The function of a worker. Returns undefined for a name that is not registered. */
  function(name: string): WorkerFunction | undefined {
    return this.#functions.get(name);
  }

  /**
   * Resolves once the server knows the host's workers, so that their tasks can be submitted: `host.run(); await host.ready`.
   * Rejects when the host ends before that.
   */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /**
   * Works until SIGTERM or Ctrl-C: then running attempts finish; after a second signal they are released at once. Throws
   * Problem when the server refuses this host, for instance because the token is wrong.
   */
  async run(): Promise<void> {
    const stop = (): void => this.stop();
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
    try {
      await this.serve();
    } finally {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    }
  }

  /** Requests the end: claims stop and running attempts finish. A second request releases them at once. */
  stop(): void {
    if (this.#end.signal.aborted) return this.#hurry.abort();
    this.#log("stopping: running attempts are finished; ask again to release them");
    this.#end.abort();
  }

  /** Works until `stop`. */
  async serve(): Promise<void> {
    try {
      await this.#serve();
      this.#registered(new KapelleError("the host was stopped before the server knew it"));
    } catch (error) {
      this.#registered(error);
      throw error;
    }
  }

  async #serve(): Promise<void> {
    if (this.#functions.size === 0) throw new RangeError("the host serves no worker: register functions with host.worker(NAME, f)");
    const place = find(this.#options.url, this.#options.token);
    const introduction = {
      name: this.#options.name ?? `node ${hostname()} ${process.pid}`,
      slots: this.#slots,
      workers: this.#known,
      queues: texts("queues", this.#options.queues) ?? [],
      labels: this.#options.labels ?? {},
      ack: true,
    };
    const log = (message: string): void => this.#log(message);
    const joined = await join(place, introduction, this.#end.signal, log);
    if (!joined) return;
    log(`${joined.id} works for ${place.url}`);
    this.#registered();
    const serving = new Serving(place, introduction, joined, this.#functions, this.#slots, log);
    try {
      await serving.claim(this.#end.signal);
    } finally {
      await serving.drain(this.#hurry.signal, this.#options.drainTimeoutMs ?? 30_000);
    }
  }

  #log(message: string): void {
    if (this.#options.log) return this.#options.log(message);
    console.error(`${new Date().toTimeString().slice(0, 8)} ${message}`);
  }
}

/** A running host. */
class Serving {
  #id: string;
  #free: number;
  /** Kept until their reports are delivered, so that their leases are renewed until then. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #working = new Map<string, Promise<void>>();
  readonly #reporter: Reporter;
  readonly #heart: Heart;
  #freed: () => void = () => undefined;

  constructor(
    private readonly place: Place,
    private readonly introduction: Json,
    joined: { id: string; beatMs: number },
    private readonly functions: ReadonlyMap<string, WorkerFunction>,
    slots: number,
    private readonly log: (message: string) => void,
  ) {
    this.#id = joined.id;
    this.#free = slots;
    this.#reporter = new Reporter(place, () => this.#id, (tokens) => this.#over(tokens), log);
    this.#heart = new Heart(
      { place, introduction, ...joined },
      { unwanted: (token) => this.#unwanted(token), joined: (id) => (this.#id = id), log },
    );
  }

  /** Claims and begins until `end` is raised. */
  async claim(end: AbortSignal): Promise<void> {
    end.addEventListener("abort", () => this.#freed());
    for (let failures = 0; !end.aborted; ) {
      if (this.#free === 0) {
        await new Promise<void>((resolve) => (this.#freed = resolve));
        continue;
      }
      const id = this.#id;
      try {
        const body = { max_tasks: Math.min(this.#free, 1_000), wait_ms: LONGEST_POLL_MS };
        const read = (raw: Json): Claimed[] => [...raw.tasks];
        const path = `/api/v1/hosts/${id}/claim`;
        const tasks = await send(this.place, { method: "POST", path, body, read, waitMs: LONGEST_POLL_MS }, end);
        failures = 0;
        if (tasks.length === 0) continue;
        // Attempts begin even when this fails, so they need not wait for it.
        void this.#acknowledge(id, tasks);
        this.#heart.begin(tasks.map((task) => task.lease_token));
        for (const claimed of tasks) this.#begin(claimed);
      } catch (error) {
        if (end.aborted) return;
        if (error instanceof NotFound) await this.#rejoin(id, end);
        else if (error instanceof Problem && ![408, 429, 500, 503, 507].includes(error.status)) throw error;
        else if (!(error instanceof KapelleError)) throw error;
        else {
          if (!(error instanceof Problem) && ++failures === 1) this.log(`waiting for the server: ${error.message}`);
          const after = error instanceof Problem ? error.retryAfterMs : undefined;
          await pause(after ?? Math.min(100 * 2 ** Math.min(failures, 10), 2_000), end);
        }
      }
    }
  }

  /** Acknowledges tasks; otherwise the server would soon assign them to another host. */
  async #acknowledge(id: string, tasks: Claimed[]): Promise<void> {
    const body = { lease_tokens: tasks.map((task) => task.lease_token) };
    try {
      await send(this.place, { method: "POST", path: `/api/v1/hosts/${id}/ack`, body, read: () => undefined });
    } catch (error) {
      this.log(`claimed tasks could not be acknowledged: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** A restarted server knows no hosts. The heartbeat thread may have noticed first. */
  async #rejoin(known: string, end: AbortSignal): Promise<void> {
    if (this.#id !== known) return;
    const joined = await join(this.place, this.introduction, end, this.log);
    if (!joined) return;
    this.#id = joined.id;
    this.#heart.joined(joined.id);
    this.log(`${joined.id} works for ${this.place.url}`);
  }

  #begin(claimed: Claimed): void {
    const token = claimed.lease_token;
    const name = `${claimed.id} (${claimed.worker}, attempt ${claimed.attempt})`;
    const attempt: Attempt = { token, name, claimed, stop: new Stop(), told: false };
    this.#attempts.set(token, attempt);
    this.#free -= 1;
    const limit = setTimeout(() => this.#timedOut(attempt), claimed.timeout_ms);
    const working = this.#attempt(attempt).finally(() => {
      clearTimeout(limit);
      this.#working.delete(token);
      this.#free += 1;
      this.#freed();
    });
    this.#working.set(token, working);
  }

  /** Runs one attempt: the function, and its report. */
  async #attempt(attempt: Attempt): Promise<void> {
    const { claimed, stop } = attempt;
    const f = this.functions.get(claimed.worker);
    let report = release(attempt);
    if (f) {
      const ctx = new Context(claimed, this.place, stop, (done, message) =>
        this.#heart.tell(attempt.token, done, message),
      );
      try {
        // In a separate turn, so that a function that blocks the loop does not delay the start of others.
        await new Promise<void>((resolve) => setImmediate(resolve));
        report = succeed(attempt, await f(ctx, claimed.input));
      } catch (error) {
        const told = error instanceof TaskError || error instanceof Cancelled || stop.reason;
        if (!told) this.log(`${attempt.name} failed: ${error instanceof Error ? error.stack : String(error)}`);
        report = fail(attempt, failure(error));
      }
    }
    // What was stopped has been told of, or is not wanted.
    if (!stop.reason) this.#tell(attempt, report);
  }

  #tell(attempt: Attempt, report: ReturnType<typeof release>): void {
    attempt.told = true;
    this.#reporter.add(report);
  }

  #over(tokens: string[]): void {
    for (const token of tokens) this.#attempts.delete(token);
    this.#heart.end(tokens);
  }

  #stop(attempt: Attempt, why: CancelReason): boolean {
    if (attempt.stop.reason) return false;
    attempt.stop.raise(why);
    return true;
  }

  /** Handles a cancelled or reassigned attempt, from a heartbeat. */
  #unwanted(token: string): void {
    const attempt = this.#attempts.get(token);
    // If its report was sent, the answer to that decides.
    if (!attempt || attempt.told || !this.#stop(attempt, "not wanted")) return;
    this.log(`${attempt.name} is not wanted any more: cancelled, or given to another host`);
    this.#over([token]);
  }

  #timedOut(attempt: Attempt): void {
    if (!this.#stop(attempt, "timeout")) return;
    const took = `the attempt took longer than ${attempt.claimed.timeout_ms} ms`;
    this.#tell(attempt, fail(attempt, new TaskError(took, { category: "timeout" })));
  }

  /** Lets running attempts finish, releases the rest, and unregisters. */
  async drain(hurry: AbortSignal, ms: number): Promise<void> {
    const wanted = [...this.#attempts.values()].filter((attempt) => !attempt.stop.reason);
    const finishing = Promise.all(wanted.map((attempt) => this.#working.get(attempt.token)));
    const finished = new AbortController();
    void finishing.then(() => finished.abort());
    await pause(ms, AbortSignal.any([hurry, finished.signal]));
    const last = (): void => this.#reporter.hurry(LAST_WORDS_MS);
    if (hurry.aborted) last();
    else hurry.addEventListener("abort", last);
    for (const attempt of [...this.#attempts.values()]) {
      if (this.#working.has(attempt.token) && this.#stop(attempt, "draining")) {
        this.log(`${attempt.name} is released`);
        this.#tell(attempt, release(attempt));
      }
    }
    await this.#reporter.flushed();
    await this.#heart.stop();
    // An unreachable server notices the missing heartbeats.
    const leave = { method: "DELETE" as const, path: `/api/v1/hosts/${this.#id}`, read: () => undefined };
    await send(this.place, leave, undefined, LAST_WORDS_MS).catch(() => undefined);
  }
}
