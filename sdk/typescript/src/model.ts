/** The server's answers. `raw` has the whole answer, with the fields of later servers. */

import { RunFailed, TaskCancelled, TaskFailed } from "./errors.js";
import { known, texts } from "./options.js";

/** A JSON value. Untyped, so that answers can be used without casts. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Json = any;

type Raw = Record<string, Json>;

/** Failure of a task or run. */
export interface Failure {
  category: string;
  message: string;
  retryable?: boolean;
  retryAfterMs?: number;
}

function failure(raw: Raw | null | undefined): Failure | undefined {
  if (!raw) return undefined;
  const failure: Failure = { category: raw["category"], message: raw["message"] };
  if (raw["retryable"] !== undefined) failure.retryable = raw["retryable"];
  if (raw["retry_after_ms"] !== undefined) failure.retryAfterMs = raw["retry_after_ms"];
  return failure;
}

const TASK_ENDED = new Set(["succeeded", "failed", "cancelled", "discarded", "skipped"]);
const RUN_ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** A task and its state. */
export class Task {
  readonly id: string;
  /** `scheduled`, `ready`, `running`, `retrying`, `held`, `parked`, `waiting`, `succeeded`, `failed`, `cancelled`,
   * `discarded` or `skipped`. */
  readonly state: string;
  readonly attempt: number;
  readonly worker: string;
  /** Empty after a `submit` that named none: the server then takes the queue of the worker. */
  readonly queue: string;
  readonly output: Json;
  readonly error: Failure | undefined;
  /** Reason why it waits, or why it was ended. */
  readonly reason: string | undefined;
  readonly run: string | undefined;
  /** Whether the answer is poorer than requested. */
  readonly degraded: boolean;
  readonly costNanousd: number;
  readonly raw: Raw;

  /** `asked` has the fields of the request, which the answer may leave out. */
  constructor(raw: Raw, asked: { worker?: string; queue?: string | undefined } = {}) {
    this.id = text(raw, "id");
    this.state = text(raw, "state");
    this.attempt = raw["attempt"] ?? 0;
    this.worker = raw["worker"] ?? asked.worker ?? "";
    this.queue = raw["queue"] ?? asked.queue ?? "";
    this.output = raw["output"] ?? null;
    this.error = failure(raw["error"]);
    this.reason = raw["reason"];
    this.run = raw["run"];
    this.degraded = raw["degraded"] ?? false;
    this.costNanousd = raw["cost_nanousd"] ?? 0;
    this.raw = raw;
  }

  /** Tells whether its state is final. */
  get ended(): boolean {
    return TASK_ENDED.has(this.state);
  }

  /** Returns the output of a task that succeeded. Throws TaskFailed or TaskCancelled when it did not. */
  result(): Json {
    if (this.state === "succeeded") return this.output;
    if (!this.ended) throw new RangeError(`${this.id} is ${this.state}: wait for it first`);
    throw this.state === "cancelled" ? new TaskCancelled(this) : new TaskFailed(this);
  }
}

/** A run of a workflow and its state. */
export class Run {
  readonly id: string;
  /** `running`, `paused`, `cancelling`, `succeeded`, `failed` or `cancelled`. */
  readonly state: string;
  /** Empty after a `start` with the text of a workflow. */
  readonly workflow: string;
  /** The number of the next entry of its journal. */
  readonly seq: number;
  readonly outputs: Json;
  readonly error: Failure | undefined;
  readonly reason: string | undefined;
  readonly raw: Raw;

  /** `asked` has the fields of the request, which the answer may leave out. */
  constructor(raw: Raw, asked: { workflow?: string | undefined } = {}) {
    this.id = text(raw, "id");
    this.state = text(raw, "state");
    this.workflow = raw["workflow"] ?? asked.workflow ?? "";
    this.seq = raw["seq"] ?? 0;
    this.outputs = raw["outputs"] ?? null;
    this.error = failure(raw["error"]);
    this.reason = raw["reason"];
    this.raw = raw;
  }

  /** Tells whether its state is final. */
  get ended(): boolean {
    return RUN_ENDED.has(this.state);
  }

  /** Returns the outputs of a run that succeeded. Throws RunFailed when it did not. */
  result(): Json {
    if (this.state === "succeeded") return this.outputs;
    if (!this.ended) throw new RangeError(`${this.id} is ${this.state}: wait for it first`);
    throw new RunFailed(this);
  }
}

function text(raw: Raw, field: string): string {
  const value = raw?.[field];
  if (typeof value !== "string") throw new TypeError(`\`${field}\` is missing`);
  return value;
}

/** An event. */
export interface Event {
  kind: string;
  data: Raw;
  /** Number in the journal of its run: 0, 1, 2, ... without gaps. */
  seq?: number;
  /** Cursor in the stream of all events. */
  cursor?: string;
}

/** A part of a list: `for (const task of page)`. Every list is one. */
export class Page<T> implements Iterable<T> {
  readonly items: T[];
  /** The cursor of the next page; undefined on the last page. */
  readonly nextCursor: string | undefined;
  readonly #more: ((cursor: string) => Promise<Page<T>>) | undefined;

  constructor(items: T[], nextCursor?: string, more?: (cursor: string) => Promise<Page<T>>) {
    this.items = items;
    this.nextCursor = nextCursor;
    this.#more = more;
  }

  /** The number of items on this page. */
  get length(): number {
    return this.items.length;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.items[Symbol.iterator]();
  }

  /** Requests the page after this one. Returns undefined after the last. */
  async nextPage(): Promise<Page<T> | undefined> {
    return this.nextCursor === undefined ? undefined : this.#more?.(this.nextCursor);
  }

  /** Iterates over this page and all that follow. Each page is requested when it is reached. */
  async *all(): AsyncGenerator<T> {
    for (let page: Page<T> | undefined = this; page; page = await page.nextPage()) yield* page.items;
  }
}

/** Entries of a run's journal. */
export class Journal extends Page<Raw> {
  constructor(
    entries: Raw[],
    /** The number of the entry after these. */
    readonly next: number,
    nextCursor?: string,
    more?: (cursor: string) => Promise<Page<Raw>>,
  ) {
    super(entries, nextCursor, more);
  }
}

/** Retry rules. A missing field means the worker's value. */
export interface Retry {
  maxAttempts?: number;
  delayMs?: number;
  multiplier?: number;
  maxDelayMs?: number;
  jitter?: "none" | "full" | "equal";
  /** Categories that are retried. */
  on?: readonly string[];
}

/** Options of a task. A missing field means the worker's value. */
export interface SubmitOptions {
  queue?: string;
  /** From -100 (last) to 100 (first). */
  priority?: number;
  delayMs?: number;
  /** When it fails whatever it is doing: a Date, or a text such as 2027-01-31T12:00:00Z. */
  deadline?: Date | string;
  /** It fails unless its first attempt has begun by then. */
  ttlMs?: number;
  /** Timeout of an attempt. */
  timeoutMs?: number;
  /** Concurrency key by which limits group it (`key` on the wire). */
  group?: string;
  /** A number stands for `{ maxAttempts }`. */
  retry?: Retry | number;
  maxCostNanousd?: number;
  /** The labels that a host must have: `gpu`, or `gpu=a100`. */
  requires?: string | readonly string[];
}

/** A task to submit. */
export interface NewTask extends SubmitOptions {
  worker: string;
  input?: Json;
}

/** Returns the hash of a file, from its value in an input. */
export function fileHash(file: Record<string, Json> | string): string {
  const hash: unknown = typeof file === "string" ? file : file?.["$file"];
  if (typeof hash !== "string" || !hash.startsWith("sha256:")) throw new RangeError(`file: \`${String(hash)}\` is not a file such as sha256:...`);
  return hash;
}

const RETRY = new Set(["maxAttempts", "delayMs", "multiplier", "maxDelayMs", "jitter", "on"]);

/** Retry rules as they travel. */
export function retryWire(retry: Retry | number): Raw {
  if (typeof retry === "number") {
    if (!Number.isInteger(retry) || retry < 1) {
      throw new RangeError(`retry: ${retry} attempts are not possible; expected 1 (no retry) or more`);
    }
    return { max_attempts: retry };
  }
  known("retry", retry, RETRY);
  return {
    max_attempts: retry.maxAttempts,
    delay_ms: retry.delayMs,
    multiplier: retry.multiplier,
    max_delay_ms: retry.maxDelayMs,
    jitter: retry.jitter,
    on: retry.on,
  };
}

const SUBMIT = [
  "queue", "priority", "delayMs", "deadline", "ttlMs", "timeoutMs", "group", "retry", "maxCostNanousd", "requires",
];
/** The options of `tasks.submit`. */
export const SUBMIT_OPTIONS = new Set([...SUBMIT, "idempotencyKey"]);
/** The fields of a task of `tasks.submitBatch`. */
export const TASK_FIELDS = new Set(["worker", "input", ...SUBMIT]);

/** A task as it travels. JSON leaves out undefined fields. */
export function taskWire(worker: string, input: Json, options: SubmitOptions): Raw {
  return {
    worker,
    input: input ?? null,
    queue: options.queue,
    priority: options.priority,
    delay_ms: options.delayMs,
    deadline: options.deadline === undefined ? undefined : time("deadline", options.deadline),
    ttl_ms: options.ttlMs,
    timeout_ms: options.timeoutMs,
    key: options.group,
    retry: options.retry === undefined ? undefined : retryWire(options.retry),
    max_cost_nanousd: options.maxCostNanousd,
    requires: texts("requires", options.requires),
  };
}

function time(where: string, value: Date | string): string {
  if (typeof value === "string") return value;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new TypeError(`${where}: expected a Date or a text such as 2027-01-31T12:00:00Z`);
}

/** Removes missing fields. */
export function given(fields: Raw): Raw {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
