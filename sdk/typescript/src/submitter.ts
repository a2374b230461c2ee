/** Submits that travel together. */

import type { Asker } from "./asker.js";
import { Problem, Unreachable } from "./errors.js";
import type { Json } from "./model.js";
import type { Results } from "./results.js";
import { Broken, type Call, freshKey } from "./wire.js";

type Raw = Record<string, Json>;

/** Tasks of one request. */
const MOST = 500;
/** Characters of one request of several tasks. */
const LENGTH = 1024 * 1024;
/** Characters of a task that travels with others. A larger one must not make them wait. */
export const SMALL = 32 * 1024;
/** Refusals that may be due to one task. Others are due to the server or the token, and hold for each. */
const OWN = new Set([400, 403, 404, 409, 413, 422]);

/** A task as it travels. */
export interface Packed {
  body: string;
  delayed: boolean;
  /** It has a request of its own. */
  alone: boolean;
  /** The idempotency key of the caller. */
  key: string | undefined;
}

/** The answer to a submit, and the stream that tells of the task's end. */
export interface Submitted {
  raw: Raw;
  stream: string;
}

interface Waiting {
  /** The task as it travels. */
  body: string;
  delayed: boolean;
  resolve: (made: Submitted) => void;
  reject: (error: unknown) => void;
}

/** The call that submits one task. */
export function single(content: string, key: string): Call<Raw> {
  return { method: "POST", path: "/api/v1/tasks", content, key, read: (raw) => raw };
}

/**
 * Sends a task at once when no request is under way, else with the next request. A request of several tasks is all or
 * none: when it is refused, none was made, and its halves are sent apart, so that each task has its own answer.
 */
export class Submitter {
  #waiting: Waiting[] = [];
  #busy = false;

  /** With `results` the ends of the tasks are told on its stream. */
  constructor(
    private readonly asker: Asker,
    private readonly results?: Results,
  ) {}

  /** Submits a task that has no idempotency key of its own. */
  submit(body: string, delayed: boolean): Promise<Submitted> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ body, delayed, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      // Further submits of the same turn of the event loop go along.
      queueMicrotask(() => this.#next());
    });
  }

  #next(): void {
    let count = 0;
    for (let length = 0; count < Math.min(this.#waiting.length, MOST); count++) {
      length += this.#waiting[count]!.body.length;
      if (count > 0 && length > LENGTH) break;
    }
    this.#busy = count > 0;
    if (count > 0) void this.#send(this.#waiting.splice(0, count), () => process.nextTick(() => this.#next()));
  }

  /**
   * Never rejects. `tried` is called once, after the first try: repeats must not make other tasks wait. The next request
   * leaves when the callers of this one have gone on, so that their further submits go along.
   */
  async #send(tasks: Waiting[], tried?: () => void): Promise<void> {
    let lost = false;
    const after = (error?: unknown): void => {
      lost ||= error instanceof Broken && !error.unsent;
      tried?.();
      tried = undefined;
    };
    try {
      const stream = this.results ? await this.results.open() : "";
      const made = await this.asker.ask(call(tasks, stream), undefined, after);
      tasks.forEach((task, at) => task.resolve({ raw: made[at]!, stream }));
    } catch (error) {
      after();
      const apart = tasks.length > 1 && error instanceof Problem && OWN.has(error.status);
      if (!apart) return tasks.forEach((task) => task.reject(error));
      if (lost) return tasks.forEach((task) => task.reject(undecided(error)));
      const half = tasks.length >> 1;
      await this.#send(tasks.slice(0, half));
      await this.#send(tasks.slice(half));
    }
  }
}

function call(tasks: Waiting[], stream: string): Call<Raw[]> {
  const key = freshKey();
  const query = stream ? { results: stream } : {};
  const [first] = tasks;
  if (first && tasks.length === 1) return { ...single(first.body, key), query, read: (raw) => [raw] };
  const content = `{"tasks":[${tasks.map((task) => task.body).join(",")}]}`;
  const read = (raw: Json): Raw[] => {
    if (raw.ids.length !== tasks.length) throw new RangeError(`${raw.ids.length} ids for ${tasks.length} tasks`);
    // The answer of the server to a single submit.
    return tasks.map(({ delayed }, at) => ({ id: raw.ids[at], state: delayed ? "scheduled" : "ready", attempt: 0 }));
  };
  return { method: "POST", path: "/api/v1/tasks/batch", content, key, query, read };
}

/** After a lost answer a refusal does not say that nothing was made: sending the tasks again could double them. */
function undecided(refusal: Problem): Unreachable {
  const what = "the answer to a submit was lost, and the repeated request was refused; the task may have been submitted";
  return new Unreachable(`${what}: ${refusal.message}`, { cause: refusal });
}
