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
/** Interval at which new attempts are looked for. */
const LOOK_MS = 400;
/** Age of an attempt at its first heartbeat, which tells the server that it has arrived. Most attempts end sooner. */
const NEW_MS = 300;
/** Interval of heartbeats without attempts: the server notices when a machine vanishes. */
const IDLE_MS = 5_000;

interface Given {
  kapelleHeart: true;
  place: Place;
  introduction: Json;
  id: string;
  beatMs: number;
  board: SharedArrayBuffer;
}

type ToThread =
  | { do: "tell"; token: string; progress: number; message?: string }
  | { do: "joined"; id: string };

type FromThread = { started: true } | { unwanted: string } | { joined: string } | { log: string };

/** Bytes of a lease token on the board. */
const WIDTH = 92;
const ROW = WIDTH + 4;

/**
 * The lease tokens of the attempts that are under way, in memory of both threads: waking the other thread for each task would
 * cost more than most tasks. A row has a number that is 0 when the row is free and never the same twice, and a token.
 */
class Board {
  readonly #numbers: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #rows: number;

  constructor(readonly memory: SharedArrayBuffer) {
    this.#rows = Math.floor(memory.byteLength / ROW);
    this.#numbers = new Int32Array(memory, 0, this.#rows);
    this.#bytes = new Uint8Array(memory, this.#rows * 4);
  }

  static of(rows: number): Board {
    return new Board(new SharedArrayBuffer(rows * ROW));
  }

  /** Every row, as a stack of free ones. */
  get rows(): number[] {
    return Array.from({ length: this.#rows }, (_, at) => this.#rows - 1 - at);
  }

  write(row: number, number: number, token: string): void {
    const at = row * WIDTH;
    for (let i = 0; i < WIDTH; i++) this.#bytes[at + i] = i < token.length ? token.charCodeAt(i) : 0;
    Atomics.store(this.#numbers, row, number);
  }

  clear(row: number): void {
    Atomics.store(this.#numbers, row, 0);
  }

  /** Calls `seen` for each row that is taken. A token is only read when it is asked for. */
  each(seen: (row: number, number: number, token: () => string) => void): void {
    for (let row = 0; row < this.#rows; row++) {
      const number = Atomics.load(this.#numbers, row);
      if (number !== 0) seen(row, number, () => this.#token(row));
    }
  }

  #token(row: number): string {
    let token = "";
    for (let at = row * WIDTH; this.#bytes[at] && token.length < WIDTH; at++) token += String.fromCharCode(this.#bytes[at]!);
    return token;
  }
}

/** Renews leases, reports progress, and reports cancelled attempts. */
export class Heart {
  readonly #thread: Worker;
  readonly #board: Board;
  readonly #free: number[];
  readonly #rows = new Map<string, number>();
  #number = 0;
  /** Resolves once the thread runs: a function that blocks the event loop must not begin before. */
  readonly started: Promise<void>;

  constructor(
    given: Omit<Given, "kapelleHeart" | "board">,
    slots: number,
    on: { unwanted: (token: string) => void; joined: (id: string) => void; log: (message: string) => void },
  ) {
    // Ended attempts stay until their reports are delivered.
    this.#board = Board.of(slots * 2 + 1_000);
    this.#free = this.#board.rows;
    const { url, token } = given.place;
    const data: Given = { kapelleHeart: true, ...given, place: { url, token }, board: this.#board.memory };
    // Without the options of the program itself: a loader or debugger is useless there.
    this.#thread = new Worker(new URL(import.meta.url), { workerData: data, execArgv: [] });
    let started: () => void = () => undefined;
    this.started = new Promise((resolve) => (started = resolve));
    // Until then nothing else may keep the program from ending.
    const begun = (): void => {
      started();
      this.#thread.unref();
    };
    this.#thread.on("message", (message: FromThread) => {
      if ("started" in message) begun();
      else if ("unwanted" in message) on.unwanted(message.unwanted);
      else if ("joined" in message) on.joined(message.joined);
      else on.log(message.log);
    });
    this.#thread.on("error", (error) => {
      on.log(`heartbeats have stopped: ${error.message}`);
      begun();
    });
  }

  /** An attempt has begun. */
  begin(token: string): void {
    const row = token.length > WIDTH ? undefined : this.#free.pop();
    // Beyond the board an attempt has one lease without a renewal.
    if (row === undefined) return;
    this.#number = this.#number >= 0x7fff_ffff ? 1 : this.#number + 1;
    this.#rows.set(token, row);
    this.#board.write(row, this.#number, token);
  }

  /** Sets the progress of an attempt. */
  tell(token: string, progress: number, message?: string): void {
    this.#post({ do: "tell", token, progress, ...(message === undefined ? {} : { message }) });
  }

  /** An attempt is over. */
  end(token: string): void {
    const row = this.#rows.get(token);
    if (row === undefined) return;
    this.#rows.delete(token);
    this.#board.clear(row);
    this.#free.push(row);
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

/** An attempt, and whether the server knows that it has arrived. */
interface Renewed {
  number: number;
  beat: Json;
  since: number;
  arrived: boolean;
}

async function beat(given: Given, attempts: Renewed[]): Promise<void> {
  const call = () => ({
    method: "POST" as const,
    path: `/api/v1/hosts/${given.id}/heartbeat`,
    body: { tasks: attempts.map(({ beat }) => beat) },
    read: (raw: Json): string[] => raw.cancel,
  });
  let unwanted: string[];
  try {
    unwanted = await send(given.place, call(), undefined, ANSWER_MS);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    // The host itself registers when it next asks for tasks.
    if (attempts.length === 0) return;
    // A restarted server knows no hosts, but the leases survive: register, and send a heartbeat at once.
    given.id = (await register(given.place, given.introduction)).id;
    parentPort?.postMessage({ joined: given.id });
    unwanted = await send(given.place, call(), undefined, ANSWER_MS);
  }
  for (const attempt of attempts) attempt.arrived = true;
  for (const token of unwanted) parentPort?.postMessage({ unwanted: token });
}

function program(given: Given): void {
  const board = new Board(given.board);
  const attempts = new Map<number, Renewed>();
  /** Compares the board with what is known. */
  const look = (now: number): void => {
    const taken = new Set<number>();
    board.each((row, number, token) => {
      taken.add(row);
      if (attempts.get(row)?.number === number) return;
      attempts.set(row, { number, beat: { lease_token: token() }, since: now, arrived: false });
    });
    for (const row of attempts.keys()) if (!taken.has(row)) attempts.delete(row);
  };
  parentPort?.on("message", (message: ToThread) => {
    if (message.do === "joined") {
      given.id = message.id;
      return;
    }
    look(performance.now());
    const { token: lease_token, progress, message: text } = message;
    const attempt = [...attempts.values()].find(({ beat }) => beat.lease_token === lease_token);
    if (attempt) attempt.beat = { lease_token, progress, ...(text === undefined ? {} : { message: text }) };
  });
  let missed = 0;
  let beating = false;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    look(now);
    const all = [...attempts.values()];
    const due = now - last >= (all.length > 0 ? given.beatMs : IDLE_MS);
    if (beating || !(due || all.some(({ arrived, since }) => !arrived && now - since >= NEW_MS))) return;
    beating = true;
    last = now;
    beat(given, all)
      .then(() => (missed = 0))
      .catch((error: Error) => {
        if (++missed === 2 && all.length > 0) parentPort?.postMessage({ log: `heartbeats do not reach the server: ${error.message}` });
      })
      .finally(() => (beating = false));
  }, Math.min(LOOK_MS, given.beatMs));
  parentPort?.postMessage({ started: true });
}

if (parentPort && (workerData as Partial<Given> | null)?.kapelleHeart) program(workerData as Given);
