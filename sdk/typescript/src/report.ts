/** Reports of ended attempts, on their way to the server. */

import { Problem, TaskError } from "./errors.js";
import type { Feed } from "./feed.js";
import type { Json } from "./model.js";
import { given } from "./model.js";
import { Output } from "./output.js";
import type { Place } from "./place.js";
import { Again, type Call, encode, pause, send } from "./wire.js";

/** Limit of reports in one request. */
const MOST = 500;
/** Size limit of a request of several reports, in characters; the server accepts 32 MiB. */
const LENGTH = 8 * 1024 * 1024;
/** Size limit of a report, in bytes. The server would cut a larger one. */
const LARGEST = 32 * 1024 * 1024 - 1024;
/** Time for which an answer is held for an unreachable server: longer than a restart, and than a lease. */
const HOLD_MS = 60_000;
/** Wait before free slots are told of again. */
const REST_MS = 200;

/** A repeated report is accepted once. */
const REPEATABLE: Call<Json[]> = { method: "POST", path: "", read: (raw) => raw.results, repeatable: true };

/** Report of an attempt, in wire form. */
export interface Report {
  token: string;
  /** For the log. */
  name: string;
  outcome: "succeed" | "fail" | "release";
  body: string;
}

/** Sender of reports. */
export interface Reporting {
  token: string;
  name: string;
}

function report(of: Reporting, outcome: Report["outcome"], fields = ""): Report {
  const encoded = `{"lease_token":${JSON.stringify(of.token)},"outcome":"${outcome}"${fields}}`;
  // A character is at most three bytes, so most texts need no count.
  const bytes = encoded.length * 3 > LARGEST ? new TextEncoder().encode(encoded).length : 0;
  if (bytes > LARGEST) throw new RangeError(`it has ${bytes} bytes, and ${LARGEST} are possible`);
  return { token: of.token, name: of.name, outcome, body: encoded };
}

/** Makes a success, or a failure when the answer is not JSON. */
export function succeed(of: Reporting, result: unknown): Report {
  try {
    if (!(result instanceof Output)) return report(of, "succeed", `,"output":${encode(result)}`);
    const provenance = encode(result.provenance());
    return report(of, "succeed", `,"output":${encode(result.value)},"provenance":${provenance}`);
  } catch (error) {
    return invalid(of, `the worker's answer cannot be sent: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function invalid(of: Reporting, message: string): Report {
  return fail(of, new TaskError(message, { category: "invalid_output" }));
}

/** Makes a failure. */
export function fail(of: Reporting, error: TaskError): Report {
  const { category, retryable, retryAfterMs } = error;
  // Half of a surrogate pair must not prevent the report.
  const message = Array.from(error.message.slice(0, 8_000), (c) => (/^[\ud800-\udfff]$/.test(c) ? "\ufffd" : c)).join("");
  const after = retryAfterMs === undefined ? undefined : Math.round(retryAfterMs);
  const body = given({ category, message, retryable, retry_after_ms: after });
  return report(of, "fail", `,"error":${encode(body)}`);
}

/** Makes a release without blame. */
export function release(of: Reporting): Report {
  return report(of, "release");
}

/** Sends reports in batches. An unreachable server is tried again, so results are not lost. */
export class Reporter {
  #queue: Report[] = [];
  #sending: Promise<void> = Promise.resolve();
  #busy = false;
  #until = Infinity;

  constructor(
    private readonly place: Place,
    private readonly host: () => string,
    private readonly feed: Feed,
    private readonly done: (tokens: string[]) => void,
    private readonly log: (message: string) => void,
  ) {}

  /** Adds a report. */
  add(report: Report): void {
    this.#queue.push(report);
    this.wake();
  }

  /** Sends what is to be said: reports, and free slots. */
  wake(): void {
    if (this.#busy || (this.#queue.length === 0 && !this.feed.behind)) return;
    this.#busy = true;
    // Reports of one moment are sent together.
    this.#sending = Promise.resolve().then(() => this.#work());
  }

  /** Limits the wait for an unreachable server, at a shutdown. */
  hurry(ms: number): void {
    this.#until = performance.now() + ms;
  }

  /** Waits until everything has been sent or given up. */
  async flushed(): Promise<void> {
    while (this.#busy) await this.#sending;
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0 || (this.feed.behind && this.#until === Infinity)) {
      if (this.#queue.length === 0) {
        // A stream that is cut begins again with the free slots, so there is no need to insist.
        await this.#once([]).catch(() => pause(REST_MS));
        continue;
      }
      let count = 0;
      for (let length = 0; count < Math.min(MOST, this.#queue.length); count++) {
        length += this.#queue[count]?.body.length ?? 0;
        if (count > 0 && length > LENGTH) break;
      }
      const reports = this.#queue.splice(0, count);
      try {
        await this.#deliver(reports);
      } catch (error) {
        // An unexpected kind of answer must not block later reports.
        this.log(`${reports.length} reports could not be delivered: ${error instanceof Error ? error.stack : String(error)}`);
        this.done(reports.map((report) => report.token));
      }
    }
    this.#busy = false;
  }

  async #deliver(reports: Report[]): Promise<void> {
    let results: Json[] = [];
    try {
      results = await this.#send(reports);
    } catch (error) {
      if (error instanceof Problem) return this.#refused(reports, error);
      const why = error instanceof Error ? error.message : String(error);
      this.log(`${reports.length} reports were given up, other attempts will follow: ${why}`);
    }
    const again: Report[] = [];
    const over: string[] = [];
    reports.forEach((report, at) => {
      const result = results[at];
      if (!result || result.accepted) return over.push(report.token);
      const why = result.detail ?? result.code;
      this.log(`the report of ${report.name} was refused: ${why}`);
      if (report.outcome !== "succeed" || result.code === "lease_lost") return over.push(report.token);
      return again.push(invalid(report, `the server refused the answer: ${why}`));
    });
    if (over.length > 0) this.done(over);
    if (again.length > 0) await this.#deliver(again);
  }

  /** Sends reports one by one, so that one the server cannot take does not fail others; it is reported as a failure. */
  async #refused(reports: Report[], problem: Problem): Promise<void> {
    const [report] = reports;
    if (!report || reports.length > 1) {
      for (const one of reports) await this.#deliver([one]);
      return;
    }
    this.log(`the report of ${report.name} was refused: ${problem.message}`);
    if (report.outcome === "succeed" && [400, 413, 422].includes(problem.status)) {
      const what = `the server refused the answer of ${report.body.length} characters: ${problem.detail}`;
      await this.#deliver([invalid(report, what)]);
    } else {
      this.done([report.token]);
    }
  }

  /** Sends a request once. On a stream the free slots go along. */
  async #once(reports: Report[]): Promise<Json[]> {
    const bodies = reports.map((report) => report.body).join(",");
    const sent = this.feed.send(bodies);
    if (sent) return sent;
    const frame = this.feed.frame();
    const call: Call<Json[]> = {
      ...REPEATABLE,
      path: `/api/v1/hosts/${this.host()}/${frame ? "frame" : "report"}`,
      content: frame ? `{${frame.fields},"reports":[${bodies}]}` : `{"reports":[${bodies}]}`,
    };
    const results = await send(this.place, call);
    frame?.taken();
    return results;
  }

  async #send(reports: Report[]): Promise<Json[]> {
    let again: Again | undefined;
    for (;;) {
      try {
        return await this.#once(reports);
      } catch (error) {
        again ??= new Again(HOLD_MS);
        const wait = again.after(REPEATABLE, error);
        if (wait === undefined || performance.now() + wait > this.#until) throw error;
        await pause(wait);
      }
    }
  }
}
