/** Errors: refusals of the server, an unreachable server, and failures of tasks. */

import type { Run, Task } from "./model.js";

/** Categories of a task's failure. */
export const CATEGORIES = [
  "invalid_input",
  "invalid_output",
  "rate_limited",
  "timeout",
  "unavailable",
  "model_required",
  "provider",
  "budget",
  "cancelled",
  "crashed",
  "lease_lost",
  "internal",
] as const;

/** Category of a failure. */
export type Category = (typeof CATEGORIES)[number];

/** Base of the errors of this package, except for wrong arguments (RangeError, TypeError). */
export class KapelleError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A token was neither given nor found. */
export class NoToken extends KapelleError {}

/** The server offers no model gateway, or the `openai` package is missing. */
export class NoGateway extends KapelleError {}

/** The server was not reached, or did not answer as a Kapelle server does. */
export class Unreachable extends KapelleError {}

/** The task or run had not ended within the time of `wait`. It continues. */
export class WaitTimeout extends KapelleError {}

/** The fault of one task of a batch. */
export interface ItemProblem {
  code: string;
  /** The fault, and what to do. */
  detail: string;
  /** The wrong field of the task. */
  field?: string;
}

/** Contents of a refusal (RFC 9457). */
export interface ProblemBody {
  status: number;
  /** For programs; never changes its meaning. */
  code: string;
  detail: string;
  title?: string;
  /** Milliseconds after which the server allows a retry. */
  retryAfterMs?: number;
  /** The wrong tasks of a batch by their place in it; at most the first 20. */
  errors?: ReadonlyMap<number, ItemProblem>;
  /** Number of wrong tasks of a batch. The server's check ends with the 1,000th. */
  errorsTotal?: number;
}

/** The server refused a request. `code` is for programs. */
export class Problem extends KapelleError {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly title: string;
  readonly retryAfterMs: number | undefined;
  /** The wrong tasks of a batch by their place in it; at most the first 20. */
  readonly errors: ReadonlyMap<number, ItemProblem>;
  /** Number of wrong tasks of a batch. The server's check ends with the 1,000th. */
  readonly errorsTotal: number;

  constructor(body: ProblemBody) {
    super(`${body.detail} (${body.status} ${body.code})`);
    this.status = body.status;
    this.code = body.code;
    this.detail = body.detail;
    this.title = body.title ?? "";
    this.retryAfterMs = body.retryAfterMs;
    this.errors = body.errors ?? new Map();
    this.errorsTotal = body.errorsTotal ?? this.errors.size;
  }
}

/** The request could not be read. */
export class InvalidRequest extends Problem {}
/** The request has invalid contents. */
export class InvalidInput extends Problem {}
/** A worker of that name was never registered. */
export class UnknownWorker extends InvalidInput {}
/** The idempotency key was used for another request. */
export class IdempotencyKeyReused extends InvalidInput {}
/** The token is missing, wrong, expired or revoked. */
export class Unauthorized extends Problem {}
/** The key's role does not allow this. */
export class Forbidden extends Problem {}
/** It does not exist, or belongs to another tenant. */
export class NotFound extends Problem {}
/** Its state does not allow the request; usually it has ended. */
export class Conflict extends Problem {}
/** The attempt belongs to another host, or is over. */
export class LeaseLost extends Conflict {}
/** The request is larger than the server accepts. */
export class TooLarge extends Problem {}
/** Too many requests, streams or tasks. */
export class TooMany extends Problem {}
/** The server is stopping or its storage is full. */
export class Unavailable extends Problem {}

const KINDS: Record<string, typeof Problem> = {
  invalid_request: InvalidRequest,
  invalid_input: InvalidInput,
  unknown_worker: UnknownWorker,
  idempotency_key_reused: IdempotencyKeyReused,
  unauthorized: Unauthorized,
  forbidden: Forbidden,
  not_found: NotFound,
  conflict: Conflict,
  lease_lost: LeaseLost,
  too_large: TooLarge,
  too_many: TooMany,
  unavailable: Unavailable,
  storage_full: Unavailable,
};

/** Returns the error of a refusal; unknown codes give a plain `Problem`. */
export function problem(body: ProblemBody): Problem {
  return new (KINDS[body.code] ?? Problem)(body);
}

/** `task.result()` of a task that failed. `task.error` has the category. */
export class TaskFailed extends KapelleError {
  readonly task: Task;

  constructor(task: Task) {
    const what = task.error ? `${task.error.category}: ${task.error.message}` : (task.reason ?? task.state);
    super(`${task.id} (${task.worker}) ${task.state}: ${what}`);
    this.task = task;
  }
}

/** `task.result()` of a task that was cancelled. */
export class TaskCancelled extends TaskFailed {}

/** `run.result()` of a run that failed or was cancelled. */
export class RunFailed extends KapelleError {
  readonly run: Run;

  constructor(run: Run) {
    const what = run.error ? `${run.error.category}: ${run.error.message}` : (run.reason ?? run.state);
    super(`${run.id} (${run.workflow}) ${run.state}: ${what}`);
    this.run = run;
  }
}

/** Options of a `TaskError`. */
export interface TaskErrorOptions {
  category?: Category;
  /** Whether the task is retried. Default: by category. */
  retryable?: boolean;
  /** Shortest wait before the next attempt. */
  retryAfterMs?: number;
}

/** Thrown by a worker's function: the attempt failed for this reason. */
export class TaskError extends Error {
  readonly category: Category;
  readonly retryable: boolean | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: TaskErrorOptions = {}) {
    super(message);
    this.name = "TaskError";
    this.category = options.category ?? "internal";
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
    if (!CATEGORIES.includes(this.category)) {
      throw new RangeError(`category: there is no \`${this.category}\`, but ${CATEGORIES.join(", ")}`);
    }
    if (options.retryAfterMs !== undefined && !(options.retryAfterMs >= 0)) {
      throw new RangeError("retryAfterMs: it must not be negative");
    }
  }
}

/** Thrown by `ctx.check()` and `ctx.sleep()` in a cancelled attempt. */
export class Cancelled extends Error {
  constructor(why: string) {
    super(why);
    this.name = "Cancelled";
  }
}
