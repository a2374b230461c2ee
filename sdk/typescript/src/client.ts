/** The client. */

import { Asker } from "./asker.js";
import type { Raw } from "./lists.js";
import type { Event, Json, Task } from "./model.js";
import { Approvals, Dead, Files, Queues, Workers } from "./nouns.js";
import { known } from "./options.js";
import { find } from "./place.js";
import { Runs } from "./runs.js";
import { Schedules } from "./schedules.js";
import { type RunOptions, Tasks } from "./tasks.js";
import { Again, type Call, REST_MS, pause } from "./wire.js";

const CURSOR = new Set(["cursor"]);
const CLIENT = new Set(["url", "token", "retryForMs", "longPoll"]);

/** Options of a client. */
export interface ClientOptions {
  /** KAPELLE_URL, or the server of the project's folder, or http://127.0.0.1:7863 by default. */
  url?: string;
  /** KAPELLE_TOKEN or, for a server on this machine, the one of the project's folder by default. */
  token?: string;
  /** Time for which an unreachable server is tried. Default: 5 seconds. */
  retryForMs?: number;
  /** Asks for every task that is waited for, instead of a stream for all. For tests, and for proxies that break streams. */
  longPoll?: boolean;
}

/** A client of a server. */
export class Client {
  readonly tasks: Tasks;
  readonly runs: Runs;
  readonly approvals: Approvals;
  readonly workers: Workers;
  readonly queues: Queues;
  readonly schedules: Schedules;
  readonly dead: Dead;
  readonly files: Files;
  readonly #asker: Asker;

  constructor(options: ClientOptions = {}) {
    known("new Client", options, CLIENT);
    this.#asker = new Asker(find(options.url, options.token), options.retryForMs ?? 5_000);
    this.tasks = new Tasks(this.#asker, options.longPoll ?? false);
    this.runs = new Runs(this.#asker);
    this.approvals = new Approvals(this.#asker);
    this.workers = new Workers(this.#asker);
    this.queues = new Queues(this.#asker);
    this.schedules = new Schedules(this.#asker);
    this.dead = new Dead(this.#asker);
    this.files = new Files(this.#asker);
  }

  /** Returns the address of the server. */
  get url(): string {
    return this.#asker.place.url;
  }

  /** Submits a task and waits for its end: `(await client.run("shout", { text: "hi" })).result()`. See `tasks.run`. */
  run(worker: string, input: Json = null, options: RunOptions = {}): Promise<Task> {
    return this.tasks.run(worker, input, options);
  }

  /** Returns the health of the server. */
  health(): Promise<Raw> {
    return this.#asker.ask({ method: "GET", path: "/health", read: (raw) => raw });
  }

  /**
   * Yields all events from now on, or after a cursor, without end. An event of kind `resync` says that events were
   * missed: read the state again.
   */
  async *events(options: { cursor?: string } = {}): AsyncGenerator<Event> {
    known("events", options, CURSOR);
    const call: Call<unknown> = { method: "GET", path: "/api/v1/events", read: () => undefined };
    let cursor = options.cursor;
    let again = new Again(this.#asker.patience());
    for (;;) {
      for await (const frame of this.#asker.frames(call, cursor || undefined, again)) {
        again = new Again(this.#asker.patience());
        cursor = frame.id || cursor;
        yield { kind: frame.kind, data: JSON.parse(frame.data), ...(cursor ? { cursor } : {}) };
      }
      await pause(REST_MS);
    }
  }
}
