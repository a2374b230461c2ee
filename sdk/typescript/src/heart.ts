/**
 * Heartbeats in a separate thread, so that a function that blocks the event loop does not lose its lease. This
 * file is the thread's program; `Heart` is the host's handle of it.
 */

import { Worker, parentPort, workerData } from "node:worker_threads";

import { NotFound } from "./errors.js";
import { register } from "./membership.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { send } from "./wire.js";

/** Timeout of a heartbeat: three of them fit into a lease. */
const ANSWER_MS = 5_000;

interface Given {
  kapelleHeart: true;
  place: Place;
  introduction: Json;
  id: string;
  beatMs: number;
}

type ToThread =
  | { do: "begin"; tokens: string[] }
  | { do: "tell"; token: string; progress: number; message?: string }
  | { do: "end"; tokens: string[] }
  | { do: "joined"; id: string };

type FromThread = { unwanted: string } | { joined: string } | { log: string };

/** Renews leases, reports progress, and reports cancelled attempts. */
export class Heart {
  readonly #thread: Worker;

  constructor(
    given: Omit<Given, "kapelleHeart">,
    on: { unwanted: (token: string) => void; joined: (id: string) => void; log: (message: string) => void },
  ) {
    const { url, token } = given.place;
    const data: Given = { kapelleHeart: true, ...given, place: { url, token } };
    // Without the options of the program itself: a loader or debugger is useless there.
    this.#thread = new Worker(new URL(import.meta.url), { workerData: data, execArgv: [] });
    this.#thread.on("message", (message: FromThread) => {
      if ("unwanted" in message) on.unwanted(message.unwanted);
      else if ("joined" in message) on.joined(message.joined);
      else on.log(message.log);
    });
    this.#thread.on("error", (error) => on.log(`heartbeats have stopped: ${error.message}`));
    this.#thread.unref();
  }

  /** Attempts have begun. */
  begin(tokens: string[]): void {
    this.#post({ do: "begin", tokens });
  }

  /** Sets the progress of an attempt. */
  tell(token: string, progress: number, message?: string): void {
    this.#post({ do: "tell", token, progress, ...(message === undefined ? {} : { message }) });
  }

  /** Attempts are over. */
  end(tokens: string[]): void {
    this.#post({ do: "end", tokens });
  }

  /** Updates the id after a new registration. */
  joined(id: string): void {
    this.#post({ do: "joined", id });
  }

  /** Stops the heartbeats. */
  async stop(): Promise<void> {
    await this.#thread.terminate();
  }

  #post(message: ToThread): void {
    this.#thread.postMessage(message);
  }
}

async function beat(given: Given, attempts: Map<string, Json>): Promise<void> {
  const call = () => ({
    method: "POST" as const,
    path: `/api/v1/hosts/${given.id}/heartbeat`,
    body: { tasks: [...attempts.values()] },
    read: (raw: Json): string[] => raw.cancel,
  });
  let unwanted: string[];
  try {
    unwanted = await send(given.place, call(), undefined, ANSWER_MS);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    // A restarted server knows no hosts, but the leases survive: register, and send a heartbeat at once.
    given.id = (await register(given.place, given.introduction)).id;
    parentPort?.postMessage({ joined: given.id });
    unwanted = await send(given.place, call(), undefined, ANSWER_MS);
  }
  for (const token of unwanted) parentPort?.postMessage({ unwanted: token });
}

function program(given: Given): void {
  const attempts = new Map<string, Json>();
  parentPort?.on("message", (message: ToThread) => {
    if (message.do === "begin") for (const token of message.tokens) attempts.set(token, { lease_token: token });
    else if (message.do === "end") for (const token of message.tokens) attempts.delete(token);
    else if (message.do === "joined") given.id = message.id;
    else if (attempts.has(message.token)) {
      const { token: lease_token, progress, message: text } = message;
      attempts.set(lease_token, { lease_token, progress, ...(text === undefined ? {} : { message: text }) });
    }
  });
  let missed = 0;
  let beating = false;
  setInterval(() => {
    if (attempts.size === 0 || beating) return;
    beating = true;
    beat(given, attempts)
      .then(() => (missed = 0))
      .catch((error: Error) => {
        if (++missed === 2) parentPort?.postMessage({ log: `heartbeats do not reach the server: ${error.message}` });
      })
      .finally(() => (beating = false));
  }, given.beatMs);
}

if (parentPort && (workerData as Partial<Given> | null)?.kapelleHeart) program(workerData as Given);
