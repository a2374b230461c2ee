// Uses of the types: this is compiled, not run.

import {
  type Category, Client, Conflict, Context, type Event, Host, Output, type Page, Problem, type Retry, type Task, TaskError,
} from "kapelle";
import { FakeContext, TestServer, callWorker } from "kapelle/testing";

const retry: Retry = { maxAttempts: 3, delayMs: 10, jitter: "full", on: ["timeout"] };
const category: Category = "rate_limited";

export async function submit(client: Client): Promise<string[]> {
  const task: Task = await client.tasks.submit("w", { a: 1 }, { priority: 1, deadline: new Date(), retry, idempotencyKey: "k" });
  const done = await client.tasks.wait(task.id, { timeoutMs: 1_000 });
  if (done.error) return [done.error.category, done.error.message];
  const ids: string[] = await client.tasks.submitBatch([{ worker: "w", input: 1, queue: "q" }]);
  for await (const event of client.runs.events("run_1", { after: 3 })) note(event);
  await client.tasks.cancel(task.id).catch((error: unknown) => {
    if (error instanceof Conflict && error instanceof Problem) return error.code;
    throw error;
  });
  return ids;
}

export async function many(client: Client): Promise<string[]> {
  const page: Page<Task> = await client.tasks.list({ worker: "w" });
  const names = [...page].map((task) => task.worker);
  for await (const task of page.all()) names.push(task.queue);
  for await (const task of client.tasks.asCompleted(page.items, { timeoutMs: 5 })) names.push(task.id);
  const [run] = await client.runs.waitAll(["run_1"]);
  await client.tasks.submit("w", 1, { retry: 3, requires: "gpu" });
  return run ? [...names, run.workflow] : names;
}

export async function tested(): Promise<number> {
  await using server = await TestServer.start({ config: "" });
  const host = await server.serve((host) => host.worker("w", (ctx) => ctx.client.tasks.submit("v", ctx.taskId)));
  await host.ready;
  return callWorker(host, "w", 5, new FakeContext({ attempt: 2 }));
}

function note(event: Event): number | undefined {
  return event.seq;
}

export function host(): Host {
  return new Host({ slots: 1, labels: { gpu: "a" }, drainTimeoutMs: 5 }).worker("w", async (ctx: Context, input) => {
    const response = await fetch(input.url, { signal: ctx.signal });
    if (response.status === 429) throw new TaskError("slow down", { category, retryAfterMs: 1_000 });
    return new Output(await response.json(), { degradedReason: "it was late", costNanousd: 5 });
  });
}

// @ts-expect-error A category that does not exist.
new TaskError("x", { category: "funny" });
// @ts-expect-error A field that does not exist.
void new Client({ uri: "x" });
// @ts-expect-error A name of another queue.
void new Client().tasks.submit("w", 1, { attempts: 3 });
// @ts-expect-error A worker needs a function.
new Host().worker("w");
