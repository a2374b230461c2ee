/**
 * For tests: a context without a server, and a server of its own for each test.
 *
 *     import { FakeContext, TestServer } from "kapelle/testing";
 */

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  type CancelReason, Client, type ClientOptions, Context, Host, type HostOptions, type Json, KapelleError, NotFound, Output,
} from "./index.js";
import { Stop } from "./context.js";
import { fileHash } from "./model.js";
import { known } from "./options.js";
import type { Place } from "./place.js";
import { encode } from "./wire.js";

/** The longest start of a server on a busy machine. */
const START_MS = 30_000;
/** The time from SIGTERM to SIGKILL. */
const END_MS = 10_000;

/** Fields of a fake attempt. The defaults are those of a first attempt that may be followed by another. */
export interface FakeContextOptions {
  taskId?: string;
  runId?: string;
  step?: string;
  worker?: string;
  attempt?: number;
  lastAttempt?: boolean;
  timeoutMs?: number;
  /** `ctx.client`: a client of a TestServer, or an object with the methods that the function calls. */
  client?: Client;
  /** `ctx.gateway`. Without it the function meets NoGateway. */
  gateway?: { url: string; token: string };
  /** The answer of `ctx.llm()`. */
  llm?: unknown;
  /** The bytes of files, by their `sha256:...`. */
  files?: Record<string, Uint8Array | string>;
}

const FAKE = new Set([
  "taskId", "runId", "step", "worker", "attempt", "lastAttempt", "timeoutMs", "client", "gateway", "llm", "files",
]);
const SERVER = new Set(["binary", "config", "files", "env"]);
const NOWHERE: Place = { url: "http://127.0.0.1:1", token: "none" };

/** A context for calling a worker's function without a server: `await shout(new FakeContext(), { text: "hi" })`. */
export class FakeContext extends Context {
  /** Calls of `ctx.progress`, in order. */
  readonly told: { done: number; message?: string }[];
  readonly #given: FakeContextOptions;
  readonly #raised: Stop;

  constructor(options: FakeContextOptions = {}) {
    known("new FakeContext", options, FAKE);
    const { taskId = "task_1", runId, step, worker = "worker", attempt = 1, lastAttempt = false, timeoutMs = 300_000 } = options;
    const stop = new Stop();
    const told: { done: number; message?: string }[] = [];
    const claimed = {
      id: taskId, attempt, lease_token: "fake", timeout_ms: timeoutMs, last_attempt: lastAttempt, worker, input: null,
      ...(runId === undefined ? {} : { run: runId }),
      ...(step === undefined ? {} : { step }),
      ...(options.gateway ? { gateway_url: options.gateway.url, gateway_token: options.gateway.token } : {}),
    };
    super(claimed, NOWHERE, stop, (done, message) => told.push({ done, ...(message === undefined ? {} : { message }) }));
    this.told = told;
    this.#given = options;
    this.#raised = stop;
  }

  /** Cancels the attempt, as the cancellation of its task does. */
  cancel(why: CancelReason = "not wanted"): void {
    this.#raised.raise(why);
  }

  override get client(): Client {
    if (!this.#given.client) throw new KapelleError("ctx.client: this context has none; pass { client } to FakeContext");
    return this.#given.client;
  }

  override async llm<T = Json>(): Promise<T> {
    return this.#given.llm === undefined ? super.llm<T>() : (this.#given.llm as T);
  }

  override async file(file: Record<string, Json> | string): Promise<Uint8Array> {
    const hash = fileHash(file);
    const found = this.#given.files?.[hash];
    if (found === undefined) {
      throw new NotFound({ status: 404, code: "not_found", detail: `there is no ${hash}; pass { files } to FakeContext` });
    }
    return typeof found === "string" ? new TextEncoder().encode(found) : found;
  }
}

/**
 * Calls the function of a worker as its host would, without a server. Input and answer pass through JSON; schemas are not
 * checked, which is the work of the server.
 */
export async function callWorker(
  host: Host, name: string, input: Json = null, ctx: Context = new FakeContext({ worker: name }),
): Promise<Json> {
  const f = host.function(name);
  if (!f) throw new RangeError(`the host serves no worker \`${name}\``);
  const answer = await f(ctx, JSON.parse(encode(input)));
  return JSON.parse(encode(answer instanceof Output ? answer.value : answer));
}

/** Options of a server for tests. */
export interface TestServerOptions {
  /** The program `kapelle`. KAPELLE_BINARY, else `kapelle` of PATH, when left out. */
  binary?: string;
  /** The text of kapelle.yaml. */
  config?: string;
  /** Further files of the project, by their names. */
  files?: Record<string, string>;
  /** Environment variables of the server, beside PATH. Nothing else of this process is passed on. */
  env?: Record<string, string>;
}

/**
 * A server on a free port and in a folder of its own, which is gone after `close`:
 *
 *     const server = await TestServer.start();
 *     try { ... } finally { await server.close(); }
 *
 * or, where the language has it, `await using server = await TestServer.start()`.
 */
export class TestServer {
  readonly #child: Child;
  readonly #ended: Promise<void>;
  readonly #hosts: { host: Host; served: Promise<void> }[] = [];
  #closing: Promise<void> | undefined;

  private constructor(
    child: Child,
    ended: Promise<void>,
    readonly url: string,
    readonly token: string,
    readonly folder: string,
  ) {
    this.#child = child;
    this.#ended = ended;
  }

  /** Starts a server, and resolves once it listens. */
  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    known("TestServer.start", options, SERVER);
    const folder = mkdtempSync(join(tmpdir(), "kapelle-test-"));
    try {
      if (options.config !== undefined) writeFileSync(join(folder, "kapelle.yaml"), options.config);
      for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
      return await launch(folder, options, (child, ended, url, token) => new TestServer(child, ended, url, token, folder));
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** A client of this server, with all rights. */
  client(options: Omit<ClientOptions, "url" | "token"> = {}): Client {
    return new Client({ ...options, url: this.url, token: this.token });
  }

  /** Runs a host for this server until `close`, and resolves once its workers are known. Its log is dropped. */
  async serve(register: (host: Host) => unknown, options: Omit<HostOptions, "url" | "token"> = {}): Promise<Host> {
    const host = new Host({ log: () => undefined, ...options, url: this.url, token: this.token });
    register(host);
    const served = host.serve();
    this.#hosts.push({ host, served });
    // `ready` or `close` rejects with its failure.
    served.catch(() => undefined);
    await host.ready;
    return host;
  }

  /** Stops hosts and server, and removes the folder. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    for (const { host } of this.#hosts) {
      host.stop();
      host.stop();
    }
    const served = await Promise.allSettled(this.#hosts.map(({ served }) => served));
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    await this.#ended;
    clearTimeout(late);
    rmSync(this.folder, { recursive: true, force: true });
    const failed = served.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
  }
}

type Child = ReturnType<typeof spawn>;

async function launch<T>(
  folder: string, options: TestServerOptions, made: (child: Child, ended: Promise<void>, url: string, token: string) => T,
): Promise<T> {
  const binary = options.binary ?? process.env["KAPELLE_BINARY"] ?? "kapelle";
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder, ...options.env };
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0"], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  // A test that exits early leaves no server behind.
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  const ended = new Promise<void>((resolve) => {
    const gone = (): void => {
      process.off("exit", kill);
      resolve();
    };
    child.on("exit", gone);
    child.on("error", gone);
  });
  const address = await listening(child, binary);
  // A server that is not closed must not keep the program from ending.
  for (const one of [child, child.stdout, child.stderr]) one.unref();
  return made(child, ended, `http://${address}`, readFileSync(join(folder, ".kapelle", "token"), "utf8").trim());
}

/** The address that a server prints once it listens. */
function listening(child: Child, binary: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (message: string, cause?: unknown): void => {
      clearTimeout(late);
      reject(new KapelleError(`${binary}: ${message}`, { cause }));
    };
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`it does not listen after ${START_MS} ms: ${said}`);
    }, START_MS);
    const read = (chunk: Uint8Array): void => {
      said = (said + new TextDecoder().decode(chunk)).slice(-10_000);
      const found = /^listening=(\S+)$/m.exec(said)?.[1];
      if (!found) return;
      clearTimeout(late);
      resolve(found);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", (error) => fail(`it could not be started: ${error.message}; build it or set KAPELLE_BINARY`, error));
    child.on("exit", () => fail(`it ended instead of listening: ${said}`));
  });
}
