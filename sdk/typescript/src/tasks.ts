/** Tasks of the client. */

import type { Asker, WaitOptions } from "./asker.js";
import { Ends, taskCall } from "./ends.js";
import { type Raw, distinct, idOf, inOrder, list, part, task } from "./lists.js";
import { type Json, type NewTask, type Page, SUBMIT_OPTIONS, type SubmitOptions, TASK_FIELDS, Task, given, taskWire } from "./model.js";
import { known } from "./options.js";
import { type Packed, SMALL, Submitter, single } from "./submitter.js";
import { encode, freshKey } from "./wire.js";

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

/** Options of `submit`. */
export interface KeyedOptions extends SubmitOptions {
  idempotencyKey?: string;
}

/** Options of `run`. */
export interface RunOptions extends KeyedOptions {
  /** Time for which the end is waited for. */
  waitTimeoutMs?: number;
  /** Ends the wait with its reason; the task goes on. */
  signal?: AbortSignal;
}

const TASK_FILTER = new Set(["state", "queue", "worker", "dead", "steps", "limit", "cursor"]);
const WAIT = new Set(["timeoutMs", "signal"]);
const RUN = new Set([...SUBMIT_OPTIONS, "waitTimeoutMs", "signal"]);
const KEY = new Set(["idempotencyKey"]);

/** Makes what travels of a task and its options. */
function packed(worker: string, input: Json, options: KeyedOptions): Packed {
  const { idempotencyKey: key, group, delayMs = 0 } = options;
  const body = encode(taskWire(worker, input, options));
  // The server counts the tasks of a group that come in one request against its limit.
  return { body, delayed: delayMs > 0, alone: key !== undefined || group !== undefined || body.length > SMALL, key };
}

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
  async submit(worker: string, input: Json = null, options: KeyedOptions = {}): Promise<Task> {
    known("tasks.submit", options, SUBMIT_OPTIONS);
    const { body, delayed, alone, key } = packed(worker, input, options);
    const answer = alone
      ? this.asker.ask(single(body, key ?? freshKey()))
      : this.#submitter.submit(body, delayed).then(({ raw }) => raw);
    return new Task(await answer, { worker, queue: options.queue });
  }

  /**
   * Submits a task and waits for its end, in one request where it is the only one. The options are those of `submit`, with
   * `waitTimeoutMs` and `signal` for the wait: then WaitTimeout, or the reason of the signal, is thrown, and the task goes on.
   */
  async run(worker: string, input: Json = null, options: RunOptions = {}): Promise<Task> {
    known("run", options, RUN);
    const { waitTimeoutMs: timeoutMs, signal } = options;
    return this.#ends.run(packed(worker, input, options), { timeoutMs, signal });
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
