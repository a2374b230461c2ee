/** A running host: it takes tasks, runs functions on them, and reports. */

import { type CancelReason, type Claimed, Context, Stop } from "./context.js";
import { Cancelled, KapelleError, NotFound, Problem, TaskError } from "./errors.js";
import { failure } from "./failure.js";
import { Feed, type Way } from "./feed.js";
import { Heart } from "./heart.js";
import type { WorkerFunction } from "./host.js";
import { NoStream } from "./lines.js";
import { join } from "./membership.js";
import type { Json } from "./model.js";
import type { Place } from "./place.js";
import { type Report, Reporter, fail, release, succeed } from "./report.js";
import { LONGEST_POLL_MS, pause, send } from "./wire.js";

/** Time for releasing attempts, after a second signal. */
const LAST_WORDS_MS = 3_000;
/** Duration of a stream that ended at once. The next is opened after a rest. */
const SHORT_MS = 1_000;
const REST_MS = 200;
/** Refusals of a claim that pass. */
const PASSING = new Set([408, 429, 500, 503, 507]);

interface Attempt {
  token: string;
  name: string;
  claimed: Claimed;
  stop: Stop;
  /** Its report is on its way. */
  told: boolean;
}

/** A running host. */
export class Serving {
  #id: string;
  #free: number;
  /** Kept until their reports are delivered, so that their leases are renewed until then. */
  readonly #attempts = new Map<string, Attempt>();
  /** Tokens of attempts whose functions run. */
  readonly #working = new Set<string>();
  readonly #feed: Feed;
  readonly #reporter: Reporter;
  readonly #heart: Heart;
  /** Called when a slot becomes free. */
  #freed: () => void = () => undefined;

  constructor(
    private readonly place: Place,
    private readonly introduction: Json,
    joined: { id: string; beatMs: number },
    private readonly functions: ReadonlyMap<string, WorkerFunction>,
    slots: number,
    private readonly log: (message: string) => void,
  ) {
    this.#id = joined.id;
    this.#free = slots;
    this.#feed = new Feed(place, {
      tasks: (tasks) => this.#take(tasks),
      cancel: (tokens) => tokens.forEach((token) => this.#unwanted(token)),
    });
    this.#reporter = new Reporter(place, () => this.#id, this.#feed, (tokens) => this.#over(tokens), log);
    this.#heart = new Heart(
      { place, introduction, ...joined },
      slots,
      { unwanted: (token) => this.#unwanted(token), joined: (id) => (this.#id = id), log },
    );
  }

  /** Takes tasks and begins them until `end` is raised. Polls where no stream gets through. */
  async work(end: AbortSignal, longPoll: boolean): Promise<void> {
    end.addEventListener("abort", () => this.#freed());
    await this.#heart.started;
    let way: Way | "poll" = longPoll ? "poll" : "duplex";
    let late = 0;
    for (let failures = 0; !end.aborted; ) {
      const id = this.#id;
      try {
        if (way === "poll") await this.#poll(id, end);
        else await this.#hear(way, id, end);
        failures = late = 0;
      } catch (error) {
        if (end.aborted) return;
        if (error instanceof NoStream) {
          // A busy server may be late once.
          if (way === "duplex") way = "stream";
          else if (!error.late || ++late > 1) {
            this.log(`polling for tasks, since they cannot be pushed: ${error.message}`);
            way = "poll";
          }
        } else if (error instanceof NotFound) {
          await this.#rejoin(id, end);
          way = longPoll ? "poll" : "duplex";
        } else if (error instanceof Problem && !PASSING.has(error.status)) throw error;
        else if (!(error instanceof KapelleError)) throw error;
        else {
          if (!(error instanceof Problem) && ++failures === 1) this.log(`waiting for the server: ${error.message}`);
          const after = error instanceof Problem ? error.retryAfterMs : undefined;
          await pause(after ?? Math.min(100 * 2 ** Math.min(failures, 10), 2_000), end);
        }
      }
    }
  }

  /** Takes what the server pushes, until the stream ends. */
  async #hear(way: Way, id: string, end: AbortSignal): Promise<void> {
    const began = performance.now();
    await this.#feed.hear(way, id, this.#free, end);
    if (performance.now() - began < SHORT_MS) await pause(REST_MS, end);
  }

  /** Claims once, as soon as a slot is free. */
  async #poll(id: string, end: AbortSignal): Promise<void> {
    if (this.#free === 0) return new Promise<void>((resolve) => (this.#freed = resolve));
    const body = { max_tasks: Math.min(this.#free, 1_000), wait_ms: LONGEST_POLL_MS };
    const read = (raw: Json): Claimed[] => [...raw.tasks];
    const path = `/api/v1/hosts/${id}/claim`;
    this.#take(await send(this.place, { method: "POST", path, body, read, waitMs: LONGEST_POLL_MS }, end));
  }

  /** A restarted server knows no hosts. The heartbeat thread may have noticed first. */
  async #rejoin(known: string, end: AbortSignal): Promise<void> {
    if (this.#id !== known) return;
    const joined = await join(this.place, this.introduction, end, this.log);
    if (!joined) return;
    this.#id = joined.id;
    this.#heart.joined(joined.id);
    this.log(`${joined.id} works for ${this.place.url}`);
  }

  /** Begins attempts. Their first heartbeat tells the server that they have arrived, unless a report comes before. */
  #take(tasks: Claimed[]): void {
    if (tasks.length === 0) return;
    const begun = tasks.map((claimed): Attempt => {
      const token = claimed.lease_token;
      const attempt = { token, name: nameOf(claimed), claimed, stop: new Stop(), told: false };
      this.#attempts.set(token, attempt);
      this.#working.add(token);
      this.#heart.begin(token);
      return attempt;
    });
    this.#free -= tasks.length;
    for (const attempt of begun) void this.#attempt(attempt);
  }

  /** Runs one attempt: the function, and its report. Never rejects. */
  async #attempt(attempt: Attempt): Promise<void> {
    const { claimed, stop, token } = attempt;
    const limit = setTimeout(() => this.#timedOut(attempt), claimed.timeout_ms);
    const f = this.functions.get(claimed.worker);
    let report: Report;
    if (f) {
      const ctx = new Context(claimed, this.place, stop, (done, message) => this.#heart.tell(token, done, message));
      try {
        report = succeed(attempt, await f(ctx, claimed.input));
      } catch (error) {
        const told = error instanceof TaskError || error instanceof Cancelled || stop.reason;
        if (!told) this.log(`${attempt.name} failed: ${error instanceof Error ? error.stack : String(error)}`);
        report = fail(attempt, failure(error));
      }
    } else report = release(attempt);
    clearTimeout(limit);
    this.#working.delete(token);
    this.#free += 1;
    // Before the report, so that one request tells of both.
    this.#feed.freed();
    // What was stopped has been told of, or is not wanted.
    if (!stop.reason) this.#tell(attempt, report);
    else this.#reporter.wake();
    this.#freed();
  }

  #tell(attempt: Attempt, report: Report): void {
    attempt.told = true;
    this.#reporter.add(report);
  }

  #over(tokens: string[]): void {
    for (const token of tokens) {
      this.#attempts.delete(token);
      this.#heart.end(token);
    }
  }

  #stop(attempt: Attempt, why: CancelReason): boolean {
    if (attempt.stop.reason) return false;
    attempt.stop.raise(why);
    return true;
  }

  /** Handles a cancelled or reassigned attempt. */
  #unwanted(token: string): void {
    const attempt = this.#attempts.get(token);
    // If its report was sent, the answer to that decides.
    if (!attempt || attempt.told || !this.#stop(attempt, "not wanted")) return;
    this.log(`${attempt.name} is not wanted any more: cancelled, or given to another host`);
    this.#over([token]);
  }

  #timedOut(attempt: Attempt): void {
    if (!this.#stop(attempt, "timeout")) return;
    const took = `the attempt took longer than ${attempt.claimed.timeout_ms} ms`;
    this.#tell(attempt, fail(attempt, new TaskError(took, { category: "timeout" })));
  }

  /** Lets running attempts finish, releases the rest, and unregisters. */
  async drain(hurry: AbortSignal, ms: number): Promise<void> {
    await this.#finished(hurry, ms);
    const last = (): void => this.#reporter.hurry(LAST_WORDS_MS);
    if (hurry.aborted) last();
    else hurry.addEventListener("abort", last);
    for (const attempt of [...this.#attempts.values()]) {
      if (this.#working.has(attempt.token) && this.#stop(attempt, "draining")) {
        this.log(`${attempt.name} is released`);
        this.#tell(attempt, release(attempt));
      }
    }
    await this.#reporter.flushed();
    await this.#heart.stop();
    // An unreachable server notices the missing heartbeats.
    const leave = { method: "DELETE" as const, path: `/api/v1/hosts/${this.#id}`, read: () => undefined };
    await send(this.place, leave, undefined, LAST_WORDS_MS).catch(() => undefined);
  }

  /** Waits for the attempts that are wanted. */
  #finished(hurry: AbortSignal, ms: number): Promise<void> {
    const wanted = [...this.#attempts.values()].filter((attempt) => !attempt.stop.reason && this.#working.has(attempt.token));
    const all = new AbortController();
    this.#freed = () => {
      if (!wanted.some((attempt) => this.#working.has(attempt.token))) all.abort();
    };
    this.#freed();
    return pause(ms, AbortSignal.any([hurry, all.signal]));
  }
}

/** The name of an attempt for the log. */
function nameOf({ id, worker, attempt }: Claimed): string {
  return `${id} (${worker}, attempt ${attempt})`;
}
