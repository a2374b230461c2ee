/** The server's answers. `raw` has the whole answer, with the fields of later servers. */

import { RunFailed, TaskCancelled, TaskFailed } from "./errors.js";

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

  constructor(raw: Raw) {
    this.id = text(raw, "id");
    this.state = text(raw, "state");
    this.attempt = raw["attempt"] ?? 0;
    this.worker = raw["worker"] ?? "";
    this.queue = raw["queue"] ?? "";
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
  readonly workflow: string;
  /** The number of the next entry of its journal. */
  readonly seq: number;
  readonly outputs: Json;
  readonly error: Failure | undefined;
  readonly reason: string | undefined;
  readonly raw: Raw;

  constructor(raw: Raw) {
    this.id = text(raw, "id");
    this.state = text(raw, "state");
    this.workflow = raw["workflow"] ?? "";
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

/** A page of tasks. */
export interface Page {
  tasks: Task[];
  nextCursor: string | undefined;
}

/** A page of runs. */
export interface RunPage {
  runs: Run[];
  nextCursor: string | undefined;
}

/** Entries of a run's journal. */
export interface Journal {
  entries: Raw[];
  /** The number of the entry after these. */
  next: number;
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
  /** Time at which it fails in any state. */
  deadline?: Date;
  /** Time at which it fails unless its first attempt has begun. */
  ttlMs?: number;
  /** Timeout of an attempt. */
  timeoutMs?: number;
  /** Concurrency key by which limits group it (`key` on the wire). */
  group?: string;
  retry?: Retry;
  maxCostNanousd?: number;
  /** Labels that a host needs: `gpu`, or `gpu=a100`. */
  requires?: readonly string[];
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

/** Converts retry rules to the wire form. */
export function retryWire(retry: Retry): Raw {
  return given({
    max_attempts: retry.maxAttempts,
    delay_ms: retry.delayMs,
    multiplier: retry.multiplier,
    max_delay_ms: retry.maxDelayMs,
    jitter: retry.jitter,
    on: retry.on,
  });
}

/** Converts a task to the wire form. */
export function taskWire(task: NewTask): Raw {
  return given({
    worker: task.worker,
    input: task.input ?? null,
    queue: task.queue,
    priority: task.priority,
    delay_ms: task.delayMs,
    deadline: task.deadline?.toISOString(),
    ttl_ms: task.ttlMs,
    timeout_ms: task.timeoutMs,
    key: task.group,
    retry: task.retry && retryWire(task.retry),
    max_cost_nanousd: task.maxCostNanousd,
    requires: task.requires,
  });
}

/** Removes missing fields. */
export function given(fields: Raw): Raw {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
