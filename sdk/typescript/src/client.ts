/** The client. */

import { Asker, type WaitOptions } from "./asker.js";
import { Ends, taskCall } from "./ends.js";
import { Unreachable } from "./errors.js";
import {
  type Event, Journal, type Json, type NewTask, Page, Run, SUBMIT_OPTIONS, type SubmitOptions, TASK_FIELDS, Task, fileHash, given,
  taskWire,
} from "./model.js";
import { known } from "./options.js";
import { find } from "./place.js";
import { SMALL, Submitter, single } from "./submitter.js";
import { Again, type Call, encode, freshKey, pause } from "./wire.js";

type Raw = Record<string, Json>;

/** Wait between the end of a stream and the next, as during a shutdown of the server. */
const REST_MS = 100;

/** Filter of task lists. */
export interface TaskFilter {
  state?: string;
  queue?: string;
  worker?: string;
  dead?: boolean;
  steps?: boolean;
  limit?: number;
  cursor?: string;
}

/** Filter of run lists. */
export interface RunFilter {
  workflow?: string;
  open?: boolean;
  limit?: number;
  cursor?: string;
}

/** Options of `run`. */
export interface RunOptions extends SubmitOptions {
  idempotencyKey?: string;
  /** Time for which the end is waited for. */
  waitTimeoutMs?: number;
  /** Ends the wait with its reason; the task goes on. */
  signal?: AbortSignal;
}

/** Options of a start. */
export interface StartOptions {
  /** The text of a workflow, YAML or JSON, instead of a name. */
  source?: string;
  inputs?: Json;
  version?: number;
  strategy?: "sequential" | "parallel" | "priority";
  idempotencyKey?: string;
}

const TASK_FILTER = new Set(["state", "queue", "worker", "dead", "steps", "limit", "cursor"]);
const RUN_FILTER = new Set(["workflow", "open", "limit", "cursor"]);
const DEAD_FILTER = new Set(["queue", "worker", "limit", "cursor"]);
const PAGING = new Set(["limit", "cursor"]);
const JOURNAL = new Set(["start", "limit"]);
const START = new Set(["source", "inputs", "version", "strategy", "idempotencyKey"]);
const WAIT = new Set(["timeoutMs", "signal"]);
const RUN = new Set([...SUBMIT_OPTIONS, "waitTimeoutMs", "signal"]);
const KEY = new Set(["idempotencyKey"]);
const AFTER = new Set(["after"]);
const CURSOR = new Set(["cursor"]);
const CLIENT = new Set(["url", "token", "retryForMs", "longPoll"]);

function part(text: string): string {
  if (!text) throw new RangeError("an id or name is empty");
  return encodeURIComponent(text);
}

/** The id of a task or run that was passed whole. */
function idOf(given: string | { id: string }): string {
  return typeof given === "string" ? given : given.id;
}

const task = (raw: Json): Task => new Task(raw);
const run = (raw: Json): Run => new Run(raw);
const same = (raw: Json): Raw => raw;
const runCall = (id: string, waitMs = 0): Call<Run> => ({
  method: "GET", path: `/api/v1/runs/${part(id)}`, read: run, waitMs, query: { wait_ms: waitMs || undefined },
});

/** Requests a list. Its rows stand in `field` of the answer. */
function list<T>(asker: Asker, path: string, field: string, row: (raw: Json) => T, filter: object = {}): Promise<Page<T>> {
  const more = (cursor: string): Promise<Page<T>> => list(asker, path, field, row, { ...filter, cursor });
  const read = (raw: Json): Page<T> => new Page(raw[field].map(row), raw.next_cursor ?? undefined, more);
  return asker.ask({ method: "GET", path, read, query: { ...filter } });
}

async function inOrder<T extends { id: string }>(ids: string[], found: AsyncIterable<T>): Promise<T[]> {
  const ended = new Map<string, T>();
  for await (const one of found) ended.set(one.id, one);
  return ids.map((id) => ended.get(id)!);
}

const distinct = (ids: Iterable<string | { id: string }>): string[] => [...new Set(Array.from(ids, idOf))];

/** Tasks: one piece of work for a worker each, durable once submitted. */
export class Tasks {
  readonly #submitter: Submitter;
  readonly #ends: Ends;

  constructor(
    private readonly asker: Asker,
    longPoll: boolean,
  ) {
    this.#submitter = new Submitter(asker);
    this.#ends = new Ends(asker, longPoll);
  }

  /**
   * Submits a task. Once this resolves, the task survives a crash. Without an `idempotencyKey` one is made up, so that
   * asking again after a broken connection never makes two. Submits that are ready while a request is under way travel in
   * the next one; each has its own answer.
   */
  async submit(worker: string, input: Json = null, options: SubmitOptions & { idempotencyKey?: string } = {}): Promise<Task> {
    known("tasks.submit", options, SUBMIT_OPTIONS);
    const { idempotencyKey, group, delayMs = 0 } = options;
    const body = encode(taskWire(worker, input, options));
    // The server counts the tasks of a group that come in one request against its limit.
    const alone = idempotencyKey !== undefined || group !== undefined || body.length > SMALL;
    const answer = alone
      ? this.asker.ask(single(body, idempotencyKey ?? freshKey()))
      : this.#submitter.submit(body, delayMs > 0).then(({ raw }) => raw);
    return new Task(await answer, { worker, queue: options.queue });
  }

  /**
   * Submits a task and waits for its end, in one request where it is the only one. The options are those of `submit`, with
   * `waitTimeoutMs` and `signal` for the wait: then WaitTimeout, or the reason of the signal, is thrown, and the task goes on.
   */
  async run(worker: string, input: Json = null, options: RunOptions = {}): Promise<Task> {
    known("run", options, RUN);
    const { idempotencyKey: key, group, delayMs = 0, waitTimeoutMs: timeoutMs, signal } = options;
    const body = encode(taskWire(worker, input, options));
    const alone = key !== undefined || group !== undefined || body.length > SMALL;
    return this.#ends.run({ body, delayed: delayMs > 0, alone, key }, { timeoutMs, signal });
  }

  /** Submits up to 10,000 tasks, all or none. Gives their ids in the order in which they were given. */
  async submitBatch(tasks: readonly NewTask[], options: { idempotencyKey?: string } = {}): Promise<string[]> {
    known("tasks.submitBatch", options, KEY);
    const key = options.idempotencyKey ?? freshKey();
    const wire = (task: NewTask, at: number): Raw => {
      known(`tasks[${at}]`, task, TASK_FIELDS);
      return taskWire(task.worker, task.input, task);
    };
    const body = { tasks: tasks.map(wire) };
    return this.asker.ask({ method: "POST", path: "/api/v1/tasks/batch", read: (raw) => [...raw.ids], body, key });
  }

  /** A task and its state. */
  get(id: string): Promise<Task> {
    return this.asker.ask(taskCall(id));
  }

  /** Waits for the end of a task, also through a restart of the server. Throws WaitTimeout after that long. */
  async wait(of: string | Task, options: WaitOptions = {}): Promise<Task> {
    known("tasks.wait", options, WAIT);
    return this.#ends.wait(idOf(of), options);
  }

  /** Waits for the ends of all, and returns them in the order of the ids, whether they succeeded or not. */
  waitAll(of: Iterable<string | Task>, options: WaitOptions = {}): Promise<Task[]> {
    const ids = Array.from(of, idOf);
    return inOrder(ids, this.asCompleted(ids, options));
  }

  /** Yields each of the tasks once, as it ends: `for await (const task of client.tasks.asCompleted(ids))`. */
  async *asCompleted(of: Iterable<string | Task>, options: WaitOptions = {}): AsyncGenerator<Task> {
    known("tasks.asCompleted", options, WAIT);
    yield* this.#ends.each(distinct(of), options);
  }

  /** Tasks, newest first. */
  async list(filter: TaskFilter = {}): Promise<Page<Task>> {
    known("tasks.list", filter, TASK_FILTER);
    return list(this.asker, "/api/v1/tasks", "tasks", task, filter);
  }

  /** Cancels a task. Throws Conflict when it has ended already. */
  cancel(id: string, reason?: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/tasks/${part(id)}/cancel`, read: task, body: given({ reason }) });
  }

  /** Retries a failed task. */
  retry(id: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/tasks/${part(id)}/retry`, read: task });
  }
}

/** Runs of workflows. */
export class Runs {
  constructor(private readonly asker: Asker) {}

  /** Starts a run of a workflow by its name, or of the text of one (`source`). */
  async start(workflow: string | undefined, options: StartOptions = {}): Promise<Run> {
    known("runs.start", options, START);
    const { source, inputs = {}, version, strategy, idempotencyKey } = options;
    if ((workflow === undefined) === (source === undefined)) {
      throw new RangeError("name a workflow, or give its text as `source`");
    }
    const body = given({ workflow, source, inputs, version, strategy });
    const read = (raw: Json): Run => new Run(raw, { workflow });
    return this.asker.ask({ method: "POST", path: "/api/v1/runs", read, body, key: idempotencyKey ?? freshKey() });
  }

  /** A run and its state. */
  get(id: string): Promise<Run> {
    return this.asker.ask(runCall(id));
  }

  /** Waits for the end of a run, also through a restart of the server. Throws WaitTimeout after that long. */
  async wait(of: string | Run, options: WaitOptions = {}): Promise<Run> {
    known("runs.wait", options, WAIT);
    const id = idOf(of);
    return this.asker.wait(id, (poll) => runCall(id, poll), options);
  }

  /** Waits for the ends of all, and returns them in the order of the ids, whether they succeeded or not. */
  waitAll(of: Iterable<string | Run>, options: WaitOptions = {}): Promise<Run[]> {
    const ids = Array.from(of, idOf);
    return inOrder(ids, this.asCompleted(ids, options));
  }

  /** Yields each of the runs once, as it ends. */
  async *asCompleted(of: Iterable<string | Run>, options: WaitOptions = {}): AsyncGenerator<Run> {
    known("runs.asCompleted", options, WAIT);
    yield* this.asker.each(distinct(of), runCall, options);
  }

  /** Runs, newest first. */
  async list(filter: RunFilter = {}): Promise<Page<Run>> {
    known("runs.list", filter, RUN_FILTER);
    return list(this.asker, "/api/v1/runs", "runs", run, filter);
  }

  /** The steps that have begun or been left out. */
  async steps(id: string, options: { limit?: number; cursor?: string } = {}): Promise<Page<Task>> {
    known("runs.steps", options, PAGING);
    return list(this.asker, `/api/v1/runs/${part(id)}/steps`, "steps", task, options);
  }

  /** Returns the journal of a run, from an entry on. */
  async journal(id: string, options: { start?: number; limit?: number } = {}): Promise<Journal> {
    known("runs.journal", options, JOURNAL);
    const more = (from: string): Promise<Journal> => this.journal(id, { ...options, start: Number(from) });
    // An entry may come at any time, so that only an empty page is the last.
    const read = ({ entries, next }: Json): Journal =>
      new Journal([...entries], next, entries.length > 0 ? String(next) : undefined, more);
    const query = { from: options.start ?? 0, limit: options.limit };
    return this.asker.ask({ method: "GET", path: `/api/v1/runs/${part(id)}/journal`, read, query });
  }

  /** Cancels a run. */
  cancel(id: string, reason?: string): Promise<Run> {
    return this.#post(id, "cancel", given({ reason }));
  }

  /** Pauses a run: further steps do not begin. */
  pause(id: string): Promise<Run> {
    return this.#post(id, "pause");
  }

  /** Resumes a paused run. */
  resume(id: string): Promise<Run> {
    return this.#post(id, "resume");
  }

  /** Sends a signal. An early signal is stored until its step waits. */
  signal(id: string, name: string, payload: Json = null): Promise<Run> {
    return this.#post(id, `signals/${part(name)}`, { payload });
  }

  /**
   * Runs an ended run again with earlier results: from a step on, or what did not succeed. With `recorded` steps run
   * again with the recorded answers of models, at no cost.
   */
  rerun(id: string, step?: string, { recorded }: { recorded?: boolean } = {}): Promise<Run> {
    return this.#post(id, "rerun", given({ from: step, recorded }));
  }

  #post(id: string, what: string, body?: Raw): Promise<Run> {
    const path = `/api/v1/runs/${part(id)}/${what}`;
    return this.asker.ask({ method: "POST", path, read: run, ...(body ? { body } : {}) });
  }

  /**
   * Follows a run until it has ended: each entry of its journal once, in order, also through interruptions and a restart
   * of the server. `after` is the number of the last known event.
   */
  async *events(id: string, options: { after?: number } = {}): AsyncGenerator<Event> {
    known("runs.events", options, AFTER);
    const call: Call<unknown> = { method: "GET", path: `/api/v1/runs/${part(id)}/events`, read: () => undefined };
    let next = options.after === undefined ? 0 : options.after + 1;
    let again = new Again(this.asker.patience());
    for (;;) {
      for await (const frame of this.asker.frames(call, next ? String(next - 1) : undefined, again)) {
        const seq = Number(frame.id);
        if (seq < next) continue;
        if (seq !== next) throw new Unreachable(`the stream went from event ${next - 1} to ${frame.id}: events are missing`);
        next = seq + 1;
        again = new Again(this.asker.patience());
        yield { kind: frame.kind, data: JSON.parse(frame.data), seq };
      }
      const state = await this.asker.ask(runCall(id), this.asker.patience());
      if (state.ended && state.seq <= next) return;
      await pause(REST_MS);
    }
  }
}

/** Steps that wait for a person. */
export class Approvals {
  constructor(private readonly asker: Asker) {}

  /** Those that wait, oldest first. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/approvals", "approvals", same);
  }

  /** Approves. `by` is recorded as the given name, beside the key that acts. */
  approve(id: string, comment?: string, by?: string): Promise<Task> {
    return this.#answer(id, "approve", comment, by);
  }

  /** Denies. `by` is recorded as the given name, beside the key that acts. */
  deny(id: string, comment?: string, by?: string): Promise<Task> {
    return this.#answer(id, "deny", comment, by);
  }

  #answer(id: string, word: string, comment?: string, by?: string): Promise<Task> {
    const path = `/api/v1/approvals/${part(id)}/${word}`;
    return this.asker.ask({ method: "POST", path, read: task, body: given({ comment, by }) });
  }
}

/** Workers that tasks can be submitted for. */
export class Workers {
  constructor(private readonly asker: Asker) {}

  /** Each with what is known of it. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/workers", "workers", same);
  }

  /** Returns the state of workers and worker hosts. */
  status(): Promise<Raw> {
    return this.asker.ask({ method: "GET", path: "/api/v1/workers/status", read: (raw) => raw });
  }
}

/** Dead letters: failed tasks outside of runs that were neither retried nor discarded. */
export class Dead {
  constructor(private readonly asker: Asker) {}

  /** Newest first. */
  async list(filter: { queue?: string; worker?: string; limit?: number; cursor?: string } = {}): Promise<Page<Task>> {
    known("dead.list", filter, DEAD_FILTER);
    return list(this.asker, "/api/v1/dead", "tasks", task, filter);
  }

  /** Retries one, with its counts at zero. */
  retry(id: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/dead/${part(id)}/retry`, read: task });
  }

  /** Marks one as dealt with. */
  discard(id: string, reason?: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/dead/${part(id)}/discard`, read: task, body: given({ reason }) });
  }
}

/** Files, which inputs refer to instead of holding them. */
export class Files {
  constructor(private readonly asker: Asker) {}

  /** Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file. */
  give(data: Uint8Array, name: string, mediaType = "application/octet-stream"): Promise<Raw> {
    // Equal bytes are one file, so uploading them twice is harmless.
    const more = { content: data, mediaType, query: { name }, repeatable: true };
    return this.asker.ask({ method: "POST", path: "/api/v1/artifacts", read: (raw) => raw, ...more });
  }

  /** Downloads an uploaded file, by the result of `give` or by its `sha256:...`. */
  async get(file: Raw | string): Promise<Uint8Array> {
    const path = `/api/v1/artifacts/${part(fileHash(file))}`;
    return this.asker.ask({ method: "GET", path, read: (bytes) => bytes, binary: true });
  }
}

/** Queues. */
export class Queues {
  constructor(private readonly asker: Asker) {}

  /** Each with counts and warnings. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/queues", "queues", same);
  }

  /** Pauses it: further tasks do not start. */
  pause(name: string): Promise<void> {
    return this.#gate(name, "pause");
  }

  /** Resumes it. */
  resume(name: string): Promise<void> {
    return this.#gate(name, "resume");
  }

  #gate(name: string, word: string): Promise<void> {
    return this.asker.ask({ method: "POST", path: `/api/v1/queues/${part(name)}/${word}`, read: () => undefined });
  }
}

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
