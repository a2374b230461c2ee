/** Requests: their contents, parsing and retries. */

import { randomUUID } from "node:crypto";

import { type ItemProblem, KapelleError, Problem, Unreachable, problem } from "./errors.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { type Answer, type Sent, type Stream, type Up, exchange, stream, text } from "./transport.js";

/** Timeout of an answer, besides a requested wait. */
export const ANSWER_MS = 30_000;
/** Duration of one poll; a longer wait has several. */
export const LONGEST_POLL_MS = 20_000;
/** Time for which waits and streams continue without the server: longer than a restart. */
export const PATIENCE_MS = 60_000;
/** Wait between the end of a stream and the next, as during a shutdown of the server. */
export const REST_MS = 100;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** A request, and the parser of its answer. */
export interface Call<T> {
  method: "GET" | "POST" | "DELETE";
  path: string;
  read: (raw: Json) => T;
  body?: Json;
  /** Raw body. */
  content?: string | Uint8Array;
  /** Media type of `content`, when it is not JSON. */
  mediaType?: string;
  /** Whether the answer is not JSON. */
  binary?: boolean;
  query?: Record<string, string | number | boolean | undefined>;
  /** The idempotency key. */
  key?: string;
  /** Whether sending it twice is harmless without a key. */
  repeatable?: boolean;
  /** Requested wait. */
  waitMs?: number;
}

/** The network failed. */
export class Broken extends Unreachable {
  /** Nothing was sent: a retry is harmless. */
  readonly unsent: boolean;

  constructor(message: string, unsent: boolean, cause: unknown) {
    super(message, { cause });
    this.name = "Unreachable";
    this.unsent = unsent;
  }
}

/** An answer that a Kapelle server does not give. */
export class Strange extends Unreachable {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "Unreachable";
  }
}

/** Makes a key under which a request is executed once, however often it is sent. */
export function freshKey(): string {
  return `ts-${randomUUID()}`;
}

/** Encodes as JSON. Throws TypeError for values that JSON does not have, which JSON.stringify would drop or change. */
export function encode(value: Json): string {
  // A replacer costs several times as much as a walk, so it is only used to find the fault.
  if (isPlain(value, DEEPEST)) return JSON.stringify(value ?? null);
  const checked = (key: string, value: unknown): unknown => {
    if (isOdd(value)) throw new TypeError(`this is not JSON: ${key ? `\`${key}\` is ` : ""}${describe(value)}`);
    return value;
  };
  try {
    return JSON.stringify(value ?? null, checked);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new TypeError(message.startsWith("this is not JSON") ? message : `this is not JSON: ${message}`);
  }
}

/** Levels of a value that are walked. Deeper and circular values are left to the replacer. */
const DEEPEST = 64;

/** Returns true for values of nothing but plain objects, arrays, text, finite numbers, booleans and null. */
function isPlain(value: unknown, deep: number): boolean {
  if (typeof value !== "object") return !isOdd(value);
  if (value === null) return true;
  if (deep === 0) return false;
  if (Array.isArray(value)) return value.every((one) => isPlain(one, deep - 1));
  const kind = Object.getPrototypeOf(value);
  if ((kind !== Object.prototype && kind !== null) || "toJSON" in value) return false;
  for (const key in value) if (!isPlain((value as Record<string, unknown>)[key], deep - 1)) return false;
  return true;
}

function isOdd(value: unknown): boolean {
  switch (typeof value) {
    case "bigint": case "function": case "symbol": return true;
    case "number": return !Number.isFinite(value);
    default: return value instanceof Map || value instanceof Set;
  }
}

function describe(value: unknown): string {
  if (typeof value === "number") return String(value);
  return value instanceof Map ? "a Map" : value instanceof Set ? "a Set" : `a ${typeof value}`;
}

/** A call as it is written. */
function sent(call: Call<unknown>, more: string[] = []): Sent {
  const body = call.content ?? (call.body === undefined ? undefined : encode(call.body));
  const headers = more;
  if (body !== undefined) headers.push("content-type", call.mediaType ?? "application/json");
  if (call.key !== undefined) headers.push("idempotency-key", call.key);
  let search = "";
  for (const key in call.query) {
    const value = call.query[key];
    if (value !== undefined) search += `${search ? "&" : "?"}${key}=${encodeURIComponent(String(value))}`;
  }
  return { method: call.method, path: call.path + search, body, headers };
}

/** Opens a stream; the caller reads it until it ends or `signal` is raised. With `up` the request stays open, too. */
export async function open(
  place: Place, call: Call<unknown>, signal: AbortSignal, headers: string[], up?: Up,
): Promise<Stream> {
  const written = sent(call, headers);
  let opened: Stream;
  try {
    opened = await stream(place, written, signal, up);
  } catch (error) {
    throw broken(place.url, error);
  }
  if (opened.statusCode === 200) return opened;
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of opened) chunks.push(chunk);
  } catch (error) {
    throw broken(place.url, error);
  }
  throw refused(place.url, opened.statusCode ?? 0, opened.headers, text(Buffer.concat(chunks)));
}

/** Sends a request once. `signal` breaks it off: then its reason is thrown. */
export async function send<T>(place: Place, call: Call<T>, signal?: AbortSignal, withinMs = ANSWER_MS): Promise<T> {
  const written = sent(call);
  let answer: Answer;
  try {
    answer = await exchange(place, written, (call.waitMs ?? 0) + withinMs, signal);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw broken(place.url, error);
  }
  const { status, headers, body } = answer;
  const good = status >= 200 && status < 300;
  if (good && call.binary) return call.read(body);
  const received = text(body);
  if (!good) throw refused(place.url, status, headers, received);
  try {
    return call.read(received ? JSON.parse(received) : null);
  } catch (error) {
    const what = `the answer to ${call.method} ${call.path} is not what was expected: ${error}`;
    throw new Unreachable(`${place.url}: ${what}`, { cause: error });
  }
}

/** The refusal as an error. */
export function refused(url: string, status: number, headers: Record<string, unknown>, text: string): KapelleError {
  const kind = String(headers["content-type"] ?? "");
  if (kind.startsWith("application/problem+json")) {
    try {
      const { code, detail, title, errors = [], errors_total: errorsTotal } = JSON.parse(text);
      if (typeof code === "string") {
        const after = String(headers["retry-after"] ?? "");
        const wait = /^\d+$/.test(after) ? { retryAfterMs: Number(after) * 1000 } : {};
        const items = errors.map(({ index, ...item }: ItemProblem & { index: number }) => [index, item] as const);
        const several = items.length ? { errors: new Map<number, ItemProblem>(items), errorsTotal } : {};
        return problem({ status, code, detail, title, ...wait, ...several });
      }
    } catch {
      // Reported below.
    }
  }
  const what = `${url} answered ${status}${kind && ` with ${kind}`}`;
  return new Strange(`${what}: this does not look like a Kapelle server; is the address right?`, status);
}

const UNSENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

/** Describes a failure of a request for a person. */
export function broken(url: string, error: unknown): Broken {
  if (error instanceof Error && error.name === "TimeoutError") return new Broken(`${url}: no answer in time`, false, error);
  // Several addresses of one name that all fail make one error.
  const failed = (error ?? {}) as { code?: string; message?: string; errors?: { code?: string }[] };
  const code = failed.code ?? failed.errors?.[0]?.code ?? "";
  const what =
    code === "ECONNREFUSED"
      ? "connection refused; is the server running? `kapelle serve` starts one"
      : failed.message || code || String(error);
  return new Broken(`${url}: ${what}`, UNSENT.has(code), error);
}

/** Decides whether and when a request is retried, within a time from the first failure. */
export class Again {
  readonly #forMs: number;
  #until: number | undefined;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  /** Returns the milliseconds until the next try, or undefined without one. */
  after(call: Call<unknown>, error: unknown): number | undefined {
    let pause: number;
    if (error instanceof Problem) {
      if (error.retryAfterMs === undefined || (error.status !== 429 && error.status !== 503)) return undefined;
      pause = error.retryAfterMs;
    } else if (error instanceof Broken) {
      const repeatable = call.method === "GET" || call.key !== undefined || call.repeatable;
      if (!error.unsent && !repeatable) return undefined;
      pause = this.#pauseMs * (0.5 + Math.random() / 2);
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    } else {
      return undefined;
    }
    const now = performance.now();
    this.#until ??= now + this.#forMs;
    return now + pause < this.#until ? pause : undefined;
  }
}

/** Waits; ends early, without an error, when `signal` is raised. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
