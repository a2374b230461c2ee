/** Context of an attempt, for a worker's function. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Asker } from "./asker.js";
import { Client } from "./client.js";
import { Cancelled, NoGateway } from "./errors.js";
import { type Json, fileHash } from "./model.js";
import type { Place } from "./place.js";
import { pause } from "./wire.js";

/** Time for which an unreachable server is tried for a file. */
const FILE_MS = 5_000;

/** One client for all attempts of a host, so that what they submit travels together. */
const clients = new WeakMap<Place, Client>();

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

/** Reason of a cancellation. */
export type CancelReason = "not wanted" | "timeout" | "draining";

/** Options of an OpenAI client that uses the gateway. */
export interface LlmOptions {
  baseURL: string;
  apiKey: string;
  maxRetries: number;
}

/** Context of an attempt, for a worker's function. */
export class Context {
  /** The id of the task. */
  readonly taskId: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** Whether no further attempt follows a failure. */
  readonly lastAttempt: boolean;
  readonly worker: string;
  /** The id of the run that the task is a step of. */
  readonly runId: string | undefined;
  readonly step: string | undefined;
  /** Timeout of the attempt. */
  readonly timeoutMs: number;
  readonly #claimed: Claimed;
  readonly #place: Place;
  readonly #tell: (done: number, message?: string) => void;
  readonly #stop: Stop;
  #llm: unknown;

  /** Made by the host. */
  constructor(claimed: Claimed, place: Place, stop: Stop, tell: (done: number, message?: string) => void) {
    this.taskId = claimed.id;
    this.attempt = claimed.attempt;
    this.lastAttempt = claimed.last_attempt;
    this.worker = claimed.worker;
    this.runId = claimed.run;
    this.step = claimed.step;
    this.timeoutMs = claimed.timeout_ms;
    this.#stop = stop;
    this.#claimed = claimed;
    this.#place = place;
    this.#tell = tell;
  }

  /** Raised when the attempt is not wanted any more; fetch and timers take it. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * A client of the host's server, with the rights of the host's key. The token of the folder and keys of the role `admin`
   * may submit and read; a key of the role `worker` may neither (Forbidden). An attempt may be repeated, so its submits need
   * idempotency keys made of the task: `idempotencyKey: ctx.taskId + "/letter"`.
   */
  get client(): Client {
    let client = clients.get(this.#place);
    if (!client) clients.set(this.#place, (client = new Client({ url: this.#place.url, token: this.#place.token })));
    return client;
  }

  /** The attempt is not wanted any more: its answer would be refused. Stop working on it. */
  get cancelled(): boolean {
    return this.#stop.reason !== undefined;
  }

  /** Returns the reason: `not wanted` (cancelled, or assigned to another host), `timeout`, or `draining`. */
  get cancelReason(): CancelReason | undefined {
    return this.#stop.reason?.message as CancelReason | undefined;
  }

  /** Throws Cancelled when the attempt was cancelled. */
  check(): void {
    if (this.#stop.reason) throw this.#stop.reason;
  }

  /** Sleeps, and throws Cancelled as soon as the attempt is cancelled. */
  async sleep(ms: number): Promise<void> {
    await pause(ms, this.signal);
    this.check();
  }

  /** Reports the progress of the attempt (0 to 1). It is sent with the next heartbeat and costs nothing here. */
  progress(done: number, message?: string): void {
    if (!(done >= 0 && done <= 1)) throw new RangeError(`progress: ${done} is not within 0 and 1`);
    this.#tell(done, message);
  }

  /** Downloads a file that the input refers to, by its value there or by its `sha256:...`. */
  async file(file: Record<string, Json> | string): Promise<Uint8Array> {
    const path = `/api/v1/files/${encodeURIComponent(fileHash(file))}`;
    return new Asker(this.#place, FILE_MS).ask({ method: "GET", path, read: (bytes) => bytes, binary: true });
  }

  /** Returns address (base URL) and token of the model gateway, for clients other than OpenAI's. */
  get gateway(): { url: string; token: string } {
    const { gateway_url: url, gateway_token: token } = this.#claimed;
    if (!url || !token) throw new NoGateway(`the server ${this.#place.url} offers no model gateway for ${this.taskId}`);
    return { url: url.startsWith("/") ? this.#place.url + url : url, token };
  }

  /** Returns the options of an OpenAI client that uses the server's gateway, with a token of this attempt alone. */
  get llmOptions(): LlmOptions {
    const { url, token } = this.gateway;
    // The gateway retries, so the client does not.
    return { baseURL: url, apiKey: token, maxRetries: 0 };
  }

  /** Returns a client of the package `openai` with `llmOptions`: `const openai = await ctx.llm<OpenAI>()`. */
  async llm<T = Json>(): Promise<T> {
    const options = this.llmOptions;
    this.#llm ??= new (await openai())(options);
    return this.#llm as T;
  }
}

/** The cancellation of an attempt. The signal is created on first use: most functions do without. */
export class Stop {
  #reason: Cancelled | undefined;
  #controller: AbortController | undefined;

  /** The reason; undefined while the attempt is wanted. */
  get reason(): Cancelled | undefined {
    return this.#reason;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Cancels the attempt. A second reason is ignored. */
  raise(why: CancelReason): void {
    if (this.#reason) return;
    this.#reason = new Cancelled(why);
    this.#controller?.abort(this.#reason);
  }
}

async function openai(): Promise<new (options: LlmOptions) => unknown> {
  const name: string = "openai";
  try {
    return (await import(name)).default;
  } catch {
    // A linked package searches beside itself; the program's own folder is meant.
  }
  try {
    const path = createRequire(join(process.cwd(), "index.js")).resolve(name);
    return (await import(pathToFileURL(path).href)).default;
  } catch (error) {
    throw new NoGateway("ctx.llm() needs the package openai: npm install openai", { cause: error });
  }
}
