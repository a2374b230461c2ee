/** A worker host: functions under worker names, and the process that runs them (`serving.ts`). */

import { hostname } from "node:os";

import type { Context } from "./context.js";
import { KapelleError } from "./errors.js";
import { join } from "./membership.js";
import { type Json, type Retry, given, retryWire } from "./model.js";
import { known, texts } from "./options.js";
import { find } from "./place.js";
import { Serving } from "./serving.js";

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
  /** Tasks of one `group` that run at once. A number stands for `{ limit }`. */
  perKey?: number | PerKey;
  /** Attempts that begin within a time, on all hosts together: `60/minute`, `5/s`, `100/15m`. */
  rate?: string;
}

/** Limit of the tasks of one `group` that run at once. */
export interface PerKey {
  limit: number;
  /** What becomes of a further task: it waits (`queue`), fails (`reject`), or the oldest running one is cancelled. Default:
   * `queue`. */
  whenFull?: "queue" | "reject" | "cancel_running";
}

const WORKER = new Set(["description", "queue", "input", "output", "timeoutMs", "retry", "requires", "perKey", "rate"]);
const PER_KEY = new Set(["limit", "whenFull"]);
const HOST = new Set(["url", "token", "name", "slots", "queues", "labels", "drainTimeoutMs", "longPoll", "log"]);

function perKeyWire(rule: number | PerKey): Json {
  const { limit, whenFull } = typeof rule === "number" ? { limit: rule } : rule;
  if (typeof rule === "object") known("perKey", rule, PER_KEY);
  if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`perKey: ${limit} tasks are not possible; expected 1 or more`);
  return given({ limit, when_full: whenFull });
}

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
  /** Polls for tasks even where the server could push them. For tests, and for proxies that break streams. */
  longPoll?: boolean;
  /** Sink for messages. Default: console.error. */
  log?: (message: string) => void;
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
    const { description, queue, input, output, timeoutMs: timeout_ms, rate } = options;
    // The server checks the number and the time.
    if (rate !== undefined && !(typeof rate === "string" && rate.includes("/"))) throw new TypeError(`rate: expected tasks and a time, such as "60/minute", got ${JSON.stringify(rate)}`);
    const retry = options.retry === undefined ? undefined : retryWire(options.retry);
    const requires = texts("requires", options.requires);
    const per_key = options.perKey === undefined ? undefined : perKeyWire(options.perKey);
    this.#functions.set(name, f);
    this.#known.push(given({ name, description, queue, input, output, timeout_ms, retry, requires, per_key, rate }));
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
      await serving.work(this.#end.signal, this.#options.longPoll ?? false);
    } finally {
      await serving.drain(this.#hurry.signal, this.#options.drainTimeoutMs ?? 30_000);
    }
  }

  #log(message: string): void {
    if (this.#options.log) return this.#options.log(message);
    console.error(`${new Date().toTimeString().slice(0, 8)} ${message}`);
  }
}
