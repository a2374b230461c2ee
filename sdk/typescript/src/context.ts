/** What a worker's function knows of its attempt. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Cancelled, NoGateway } from "./errors.js";
import { Asker } from "./asker.js";
import { type Json, fileHash } from "./model.js";
import type { Place } from "./place.js";
import { pause } from "./wire.js";

/** A server that cannot be reached is asked for a file that long. */
const FILE_MS = 5_000;

/** What the server says of an attempt. */
export interface Claimed {
  id: string;
  attempt: number;
  lease_token: string;
  timeout_ms: number;
  last_attempt: boolean;
  worker: string;
  run?: string;
  step?: string;
  input: Json;
  gateway_url?: string;
  gateway_token?: string;
}

/** Why an attempt is not wanted any more. */
export type CancelReason = "not wanted" | "timeout" | "draining";

/** How an OpenAI client is made that goes through the gateway. */
export interface LlmOptions {
  baseURL: string;
  apiKey: string;
  maxRetries: number;
}

/** What a worker's function knows of its attempt. */
export class Context {
  /** The task. */
  readonly task: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** No further attempt follows should this one fail. */
  readonly lastAttempt: boolean;
  readonly worker: string;
  readonly run: string | undefined;
  readonly step: string | undefined;
  /** How long the attempt may take. */
  readonly timeoutMs: number;
  /** Raised when the attempt is not wanted any more; fetch and timers take it. */
  readonly signal: AbortSignal;
  readonly #claimed: Claimed;
  readonly #place: Place;
  readonly #tell: (done: number, message?: string) => void;
  #llm: unknown;

  /** Made by the host. */
  constructor(claimed: Claimed, place: Place, signal: AbortSignal, tell: (done: number, message?: string) => void) {
    this.task = claimed.id;
    this.attempt = claimed.attempt;
    this.lastAttempt = claimed.last_attempt;
    this.worker = claimed.worker;
    this.run = claimed.run;
    this.step = claimed.step;
    this.timeoutMs = claimed.timeout_ms;
    this.signal = signal;
    this.#claimed = claimed;
    this.#place = place;
    this.#tell = tell;
  }

  /** The attempt is not wanted any more: its answer would be refused. Stop working on it. */
  get cancelled(): boolean {
    return this.signal.aborted;
  }

  /** Why: `not wanted` (cancelled, or given to another host), `timeout`, or `draining`. */
  get cancelReason(): CancelReason | undefined {
    return this.cancelled ? this.signal.reason.message : undefined;
  }

  /** Throws Cancelled when the attempt is not wanted any more. */
  check(): void {
    this.signal.throwIfAborted();
  }

  /** Sleeps, and throws Cancelled as soon as the attempt is not wanted any more. */
  async sleep(ms: number): Promise<void> {
    await pause(ms, this.signal);
    this.check();
  }

  /** Says how far the attempt is (0 to 1). It travels with the next heartbeat and costs nothing here. */
  progress(done: number, message?: string): void {
    if (!(done >= 0 && done <= 1)) throw new RangeError(`progress: ${done} is not within 0 and 1`);
    this.#tell(done, message);
  }

  /** The bytes of a file that the input refers to, by what stands there or by its `sha256:...`. */
  async file(file: Record<string, Json> | string): Promise<Uint8Array> {
    const path = `/api/v1/files/${encodeURIComponent(fileHash(file))}`;
    return new Asker(this.#place, FILE_MS).ask({ method: "GET", path, read: (bytes) => bytes, binary: true });
  }

  /** Address (base URL) and token of the model gateway, for clients other than OpenAI's. */
  get gateway(): { url: string; token: string } {
    const { gateway_url: url, gateway_token: token } = this.#claimed;
    if (!url || !token) throw new NoGateway(`the server ${this.#place.url} offers no model gateway for ${this.task}`);
    return { url: url.startsWith("/") ? this.#place.url + url : url, token };
  }

  /** How an OpenAI client is made that goes through the server's gateway, with a token of this attempt alone. */
  get llmOptions(): LlmOptions {
    const { url, token } = this.gateway;
    // The gateway retries, so the client does not.
    return { baseURL: url, apiKey: token, maxRetries: 0 };
  }

  /** A client of the package `openai` with `llmOptions`: `const openai = await ctx.llm<OpenAI>()`. */
  async llm<T = Json>(): Promise<T> {
    const options = this.llmOptions;
    this.#llm ??= new (await openai())(options);
    return this.#llm as T;
  }
}

/** The reason with which an attempt's signal is raised. */
export function stopped(why: CancelReason): Cancelled {
  return new Cancelled(why);
}

async function openai(): Promise<new (options: LlmOptions) => unknown> {
  const name: string = "openai";
  try {
    return (await import(name)).default;
  } catch {
    // A package that is linked in looks beside itself; the program's own place is meant.
  }
  try {
    const path = createRequire(join(process.cwd(), "index.js")).resolve(name);
    return (await import(pathToFileURL(path).href)).default;
  } catch (error) {
    throw new NoGateway("ctx.llm() needs the package openai: npm install openai", { cause: error });
  }
}
