/** Approvals, workers, dead letters, files and queues of the client. */

import type { Asker } from "./asker.js";
import { type Raw, list, part, same, task } from "./lists.js";
import { type Page, type Task, fileHash, given } from "./model.js";
import { known } from "./options.js";

const DEAD_FILTER = new Set(["queue", "worker", "limit", "cursor"]);

/** Steps that wait for a person. */
export class Approvals {
  constructor(private readonly asker: Asker) {}

  /** Those that wait, oldest first. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/approvals", "approvals", same);
  }

  /** Approves. `by` is recorded as the given name, beside the key that acts. */
  approve(id: string, comment?: string, by?: string): Promise<Task> {
    return this.#answer(id, "approve", comment, by);
  }

  /** Denies. `by` is recorded as the given name, beside the key that acts. */
  deny(id: string, comment?: string, by?: string): Promise<Task> {
    return this.#answer(id, "deny", comment, by);
  }

  #answer(id: string, word: string, comment?: string, by?: string): Promise<Task> {
    const path = `/api/v1/approvals/${part(id)}/${word}`;
    return this.asker.ask({ method: "POST", path, read: task, body: given({ comment, by }) });
  }
}

/** Workers that tasks can be submitted for. */
export class Workers {
  constructor(private readonly asker: Asker) {}

  /** Each with what is known of it. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/workers", "workers", same);
  }

  /** Returns the state of workers and worker hosts. */
  status(): Promise<Raw> {
    return this.asker.ask({ method: "GET", path: "/api/v1/workers/status", read: (raw) => raw });
  }
}

/** Dead letters: failed tasks outside of runs that were neither retried nor discarded. */
export class Dead {
  constructor(private readonly asker: Asker) {}

  /** Newest first. */
  async list(filter: { queue?: string; worker?: string; limit?: number; cursor?: string } = {}): Promise<Page<Task>> {
    known("dead.list", filter, DEAD_FILTER);
    return list(this.asker, "/api/v1/dead", "tasks", task, filter);
  }

  /** Retries one, with its counts at zero. */
  retry(id: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/dead/${part(id)}/retry`, read: task });
  }

  /** Marks one as dealt with. */
  discard(id: string, reason?: string): Promise<Task> {
    return this.asker.ask({ method: "POST", path: `/api/v1/dead/${part(id)}/discard`, read: task, body: given({ reason }) });
  }
}

/** Files, which inputs refer to instead of holding them. */
export class Files {
  constructor(private readonly asker: Asker) {}

  /** Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file. */
  give(data: Uint8Array, name: string, mediaType = "application/octet-stream"): Promise<Raw> {
    // Equal bytes are one file, so uploading them twice is harmless.
    const more = { content: data, mediaType, query: { name }, repeatable: true };
    return this.asker.ask({ method: "POST", path: "/api/v1/artifacts", read: (raw) => raw, ...more });
  }

  /** Downloads an uploaded file, by the result of `give` or by its `sha256:...`. */
  async get(file: Raw | string): Promise<Uint8Array> {
    const path = `/api/v1/artifacts/${part(fileHash(file))}`;
    return this.asker.ask({ method: "GET", path, read: (bytes) => bytes, binary: true });
  }
}

/** Queues. */
export class Queues {
  constructor(private readonly asker: Asker) {}

  /** Each with counts and warnings. */
  list(): Promise<Page<Raw>> {
    return list(this.asker, "/api/v1/queues", "queues", same);
  }

  /** Pauses it: further tasks do not start. */
  pause(name: string): Promise<void> {
    return this.#gate(name, "pause");
  }

  /** Resumes it. */
  resume(name: string): Promise<void> {
    return this.#gate(name, "resume");
  }

  #gate(name: string, word: string): Promise<void> {
    return this.asker.ask({ method: "POST", path: `/api/v1/queues/${part(name)}/${word}`, read: () => undefined });
  }
}
