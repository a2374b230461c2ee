/** Schedules of the client. */

import type { Asker } from "./asker.js";
import { type Raw, list, part, same } from "./lists.js";
import { type Json, type Page, given } from "./model.js";
import { known } from "./options.js";

const PAGE = new Set(["limit", "cursor"]);
const CREATE = new Set(["workflow", "worker", "inputs", "timezone", "catchUp", "overlap", "jitterMs", "replace"]);

/** Options of a schedule. It has either a workflow or a worker. */
export interface ScheduleOptions {
  /** The workflow that it runs. */
  workflow?: string;
  /** The worker that gets its tasks. */
  worker?: string;
  /** Inputs. They may hold expressions such as `${{ fire.scheduled }}`. */
  inputs?: Json;
  /** An IANA name, such as `Europe/Berlin`. UTC by default. */
  timezone?: string;
  /** The rule for missed times. `skip` by default. */
  catchUp?: "skip" | "one" | "all";
  /** The rule while an earlier fire is open. `skip` by default. */
  overlap?: "allow" | "skip" | "queue" | "cancel_running";
  /** The longest random delay, in milliseconds. */
  jitterMs?: number;
  /** Lets it take the place of a schedule of that name. */
  replace?: boolean;
}

/** Schedules: they start runs of a workflow, or submit tasks to a worker, at set times. */
export class Schedules {
  constructor(private readonly asker: Asker) {}

  /**
   * Makes a schedule. `cron` is a line of cron with five fields, or six with the seconds first; `@daily` and the like; or
   * a span such as `15m`.
   */
  async create(name: string, cron: string, options: ScheduleOptions = {}): Promise<Raw> {
    known("schedules.create", options, CREATE);
    const { workflow, worker, inputs, timezone, catchUp, overlap, jitterMs, replace } = options;
    if ((workflow === undefined) === (worker === undefined)) {
      throw new RangeError("name a workflow to run, or a worker to submit tasks to");
    }
    const more = { catch_up: catchUp, overlap, jitter_ms: jitterMs, replace };
    const body = given({ name, cron, workflow, worker, timezone, with: inputs ?? {}, ...more });
    return this.asker.ask({ method: "POST", path: "/api/v1/schedules", read: same, body });
  }

  /** Those of the tenant, by name. */
  async list(filter: { limit?: number; cursor?: string } = {}): Promise<Page<Raw>> {
    known("schedules.list", filter, PAGE);
    return list(this.asker, "/api/v1/schedules", "schedules", same, filter);
  }

  /** Returns one with its next times and its last fires. */
  get(name: string): Promise<Raw> {
    return this.asker.ask({ method: "GET", path: path(name), read: same });
  }

  /** Returns its next times, earliest first. Five by default. */
  next(name: string, count?: number): Promise<string[]> {
    return this.asker.ask({ method: "GET", path: path(name, "/next"), read: (raw) => raw.times, query: { count } });
  }

  /** Pauses it: nothing is fired. */
  pause(name: string, reason?: string): Promise<Raw> {
    return this.asker.ask({ method: "POST", path: path(name, "/pause"), read: same, body: given({ reason }) });
  }

  /** Resumes it. */
  resume(name: string, reason?: string): Promise<Raw> {
    return this.asker.ask({ method: "POST", path: path(name, "/resume"), read: same, body: given({ reason }) });
  }

  /** Fires it once, now. Returns what was started. */
  fire(name: string): Promise<Raw> {
    return this.asker.ask({ method: "POST", path: path(name, "/fire"), read: same });
  }

  /** Deletes it. Its runs and tasks go on. */
  delete(name: string): Promise<void> {
    return this.asker.ask({ method: "DELETE", path: path(name), read: () => undefined });
  }
}

const path = (name: string, more = ""): string => `/api/v1/schedules/${part(name)}${more}`;
