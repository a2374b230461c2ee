/** Requests: their contents, parsing and retries. */

import { randomUUID } from "node:crypto";

import { KapelleError, Problem, Unreachable, problem } from "./errors.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";

/** Timeout of an answer, besides a requested wait. */
export const ANSWER_MS = 30_000;
/** Duration of one poll; a longer wait has several. */
export const LONGEST_POLL_MS = 20_000;
/** Time for which waits and streams continue without the server: longer than a restart. */
export const PATIENCE_MS = 60_000;
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

/** Makes a key under which a request is executed once, however often it is sent. */
export function freshKey(): string {
  return `ts-${randomUUID()}`;
}

/** Encodes as JSON. Throws TypeError for values that JSON does not have, which JSON.stringify would drop or change. */
export function encode(value: Json): string {
  const checked = (key: string, value: unknown): unknown => {
    const odd =
      typeof value === "bigint" || typeof value === "function" || typeof value === "symbol" || value instanceof Map ||
      value instanceof Set || (typeof value === "number" && !Number.isFinite(value));
    if (odd) throw new TypeError(`this is not JSON: ${key ? `\`${key}\` is ` : ""}${describe(value)}`);
    return value;
  };
  try {
    return JSON.stringify(value ?? null, checked);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new TypeError(message.startsWith("this is not JSON") ? message : `this is not JSON: ${message}`);
  }
}

function describe(value: unknown): string {
  if (typeof value === "number") return String(value);
  return value instanceof Map ? "a Map" : value instanceof Set ? "a Set" : `a ${typeof value}`;
}

/** Opens a request; the caller reads the body. */
export async function open(place: Place, call: Call<unknown>, signal: AbortSignal, headers: Record<string, string> = {}) {
  const query = Object.entries(call.query ?? {}).filter(([, value]) => value !== undefined);
  const search = query.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join("&");
  const body = call.content ?? (call.body === undefined ? null : encode(call.body));
  try {
    return await fetch(place.url + call.path + (search && `?${search}`), {
      method: call.method,
      body: body as BodyInit | null,
      headers: {
        authorization: `Bearer ${place.token}`,
        "user-agent": "kapelle-typescript",
        ...(body === null ? {} : { "content-type": call.mediaType ?? "application/json" }),
        ...(call.key === undefined ? {} : { "idempotency-key": call.key }),
        ...headers,
      },
      redirect: "manual",
      signal,
    });
  } catch (error) {
    throw broken(place.url, error);
  }
}

/** Sends a request once. `signal` aborts it. */
export async function send<T>(place: Place, call: Call<T>, signal?: AbortSignal, withinMs = ANSWER_MS): Promise<T> {
  const limit = AbortSignal.timeout((call.waitMs ?? 0) + withinMs);
  const response = await open(place, call, signal ? AbortSignal.any([signal, limit]) : limit);
  let text = "";
  try {
    if (call.binary && response.ok) return call.read(new Uint8Array(await response.arrayBuffer()));
    text = await response.text();
  } catch (error) {
    throw broken(place.url, error);
  }
  if (!response.ok) throw refused(place.url, response, text);
  try {
    return call.read(text ? JSON.parse(text) : null);
  } catch (error) {
    const what = `the answer to ${call.method} ${call.path} is not what was expected: ${error}`;
    throw new Unreachable(`${place.url}: ${what}`, { cause: error });
  }
}

/** Converts a refusal to an error. */
export function refused(url: string, response: Response, text: string): KapelleError {
  const kind = response.headers.get("content-type") ?? "";
  if (kind.startsWith("application/problem+json")) {
    try {
      const { code, detail, title } = JSON.parse(text);
      if (typeof code === "string") {
        const after = response.headers.get("retry-after");
        const wait = after && /^\d+$/.test(after) ? { retryAfterMs: Number(after) * 1000 } : {};
        return problem({ status: response.status, code, detail, title, ...wait });
      }
    } catch {
      // Reported below.
    }
  }
  const what = `${url} answered ${response.status}${kind && ` with ${kind}`}`;
  return new Unreachable(`${what}: this does not look like a Kapelle server; is the address right?`);
}

const UNSENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

/** Describes a failure of a request for a person. */
export function broken(url: string, error: unknown): Broken {
  if (error instanceof Error && error.name === "TimeoutError") return new Broken(`${url}: no answer in time`, false, error);
  const cause = (error as { cause?: { code?: string; message?: string; errors?: { code?: string }[] } }).cause;
  const code = cause?.code ?? cause?.errors?.[0]?.code ?? "";
  const what =
    code === "ECONNREFUSED"
      ? "connection refused; is the server running? `kapelle serve` starts one"
      : cause?.message || code || (error instanceof Error ? error.message : String(error));
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
