/** Runs of the client. */

import type { Asker, WaitOptions } from "./asker.js";
import { Unreachable } from "./errors.js";
import { type Raw, distinct, idOf, inOrder, list, part, task } from "./lists.js";
import { type Event, Journal, type Json, type Page, Run, type Task, given } from "./model.js";
import { known } from "./options.js";
import { Again, type Call, REST_MS, freshKey, pause } from "./wire.js";

/** Filter of run lists. */
export interface RunFilter {
  workflow?: string;
  open?: boolean;
  limit?: number;
  cursor?: string;
}

/** Options of a start. */
export interface StartOptions {
  /** The text of a workflow, YAML or JSON, instead of a name. */
  source?: string;
  inputs?: Json;
  version?: number;
  strategy?: "sequential" | "parallel" | "priority";
  idempotencyKey?: string;
}

const RUN_FILTER = new Set(["workflow", "open", "limit", "cursor"]);
const PAGING = new Set(["limit", "cursor"]);
const JOURNAL = new Set(["start", "limit"]);
const START = new Set(["source", "inputs", "version", "strategy", "idempotencyKey"]);
const WAIT = new Set(["timeoutMs", "signal"]);
const AFTER = new Set(["after"]);

const run = (raw: Json): Run => new Run(raw);
const runCall = (id: string, waitMs = 0): Call<Run> => ({
  method: "GET", path: `/api/v1/runs/${part(id)}`, read: run, waitMs, query: { wait_ms: waitMs || undefined },
});

/** Runs of workflows. */
export class Runs {
  constructor(private readonly asker: Asker) {}

  /** Starts a run of a workflow by its name, or of the text of one (`source`). */
  async start(workflow: string | undefined, options: StartOptions = {}): Promise<Run> {
    known("runs.start", options, START);
    const { source, inputs = {}, version, strategy, idempotencyKey } = options;
    if ((workflow === undefined) === (source === undefined)) {
      throw new RangeError("name a workflow, or give its text as `source`");
    }
    const body = given({ workflow, source, inputs, version, strategy });
    const read = (raw: Json): Run => new Run(raw, { workflow });
    return this.asker.ask({ method: "POST", path: "/api/v1/runs", read, body, key: idempotencyKey ?? freshKey() });
  }

  /** A run and its state. */
  get(id: string): Promise<Run> {
    return this.asker.ask(runCall(id));
  }

  /** Waits for the end of a run, also through a restart of the server. Throws WaitTimeout after that long. */
  async wait(of: string | Run, options: WaitOptions = {}): Promise<Run> {
    known("runs.wait", options, WAIT);
    const id = idOf(of);
    return this.asker.wait(id, (poll) => runCall(id, poll), options);
  }

  /** Waits for the ends of all, and returns them in the order of the ids, whether they succeeded or not. */
  waitAll(of: Iterable<string | Run>, options: WaitOptions = {}): Promise<Run[]> {
    const ids = Array.from(of, idOf);
    return inOrder(ids, this.asCompleted(ids, options));
  }

  /** Yields each of the runs once, as it ends. */
  async *asCompleted(of: Iterable<string | Run>, options: WaitOptions = {}): AsyncGenerator<Run> {
    known("runs.asCompleted", options, WAIT);
    yield* this.asker.each(distinct(of), runCall, options);
  }

  /** Runs, newest first. */
  async list(filter: RunFilter = {}): Promise<Page<Run>> {
    known("runs.list", filter, RUN_FILTER);
    return list(this.asker, "/api/v1/runs", "runs", run, filter);
  }

  /** The steps that have begun or been left out. */
  async steps(id: string, options: { limit?: number; cursor?: string } = {}): Promise<Page<Task>> {
    known("runs.steps", options, PAGING);
    return list(this.asker, `/api/v1/runs/${part(id)}/steps`, "steps", task, options);
  }

  /** Returns the journal of a run, from an entry on. */
  async journal(id: string, options: { start?: number; limit?: number } = {}): Promise<Journal> {
    known("runs.journal", options, JOURNAL);
    const more = (from: string): Promise<Journal> => this.journal(id, { ...options, start: Number(from) });
    // An entry may come at any time, so that only an empty page is the last.
    const read = ({ entries, next }: Json): Journal =>
      new Journal([...entries], next, entries.length > 0 ? String(next) : undefined, more);
    const query = { from: options.start ?? 0, limit: options.limit };
    return this.asker.ask({ method: "GET", path: `/api/v1/runs/${part(id)}/journal`, read, query });
  }

  /** Cancels a run. */
  cancel(id: string, reason?: string): Promise<Run> {
    return this.#post(id, "cancel", given({ reason }));
  }

  /** Pauses a run: further steps do not begin. */
  pause(id: string): Promise<Run> {
    return this.#post(id, "pause");
  }

  /** Resumes a paused run. */
  resume(id: string): Promise<Run> {
    return this.#post(id, "resume");
  }

  /** Sends a signal. An early signal is stored until its step waits. */
  signal(id: string, name: string, payload: Json = null): Promise<Run> {
    return this.#post(id, `signals/${part(name)}`, { payload });
  }

  /**
   * Runs an ended run again with earlier results: from a step on, or what did not succeed. With `recorded` steps run
   * again with the recorded answers of models, at no cost.
   */
  rerun(id: string, step?: string, { recorded }: { recorded?: boolean } = {}): Promise<Run> {
    return this.#post(id, "rerun", given({ from: step, recorded }));
  }

  #post(id: string, what: string, body?: Raw): Promise<Run> {
    const path = `/api/v1/runs/${part(id)}/${what}`;
    return this.asker.ask({ method: "POST", path, read: run, ...(body ? { body } : {}) });
  }

  /**
   * Follows a run until it has ended: each entry of its journal once, in order, also through interruptions and a restart
   * of the server. `after` is the number of the last known event.
   */
  async *events(id: string, options: { after?: number } = {}): AsyncGenerator<Event> {
    known("runs.events", options, AFTER);
    const call: Call<unknown> = { method: "GET", path: `/api/v1/runs/${part(id)}/events`, read: () => undefined };
    let next = options.after === undefined ? 0 : options.after + 1;
    let again = new Again(this.asker.patience());
    for (;;) {
      for await (const frame of this.asker.frames(call, next ? String(next - 1) : undefined, again)) {
        const seq = Number(frame.id);
        if (seq < next) continue;
        if (seq !== next) throw new Unreachable(`the stream went from event ${next - 1} to ${frame.id}: events are missing`);
        next = seq + 1;
        again = new Again(this.asker.patience());
        yield { kind: frame.kind, data: JSON.parse(frame.data), seq };
      }
      const state = await this.asker.ask(runCall(id), this.asker.patience());
      if (state.ended && state.seq <= next) return;
      await pause(REST_MS);
    }
  }
}
