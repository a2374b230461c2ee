/**
 * Kapelle for Node: submit tasks, run workflows, and work on tasks.
 *
 *     import { Client, Host } from "kapelle";
 *
 *     const client = new Client();
 *     const task = await client.tasks.submit("summarizer", { text: "..." });
 *     console.log((await client.tasks.wait(task.id)).result());
 *
 *     const host = new Host({ slots: 2 });
 *     host.worker("shout", (ctx, input) => ({ text: input.text.toUpperCase() }));
 *     await host.run();
 */

export { Client } from "./client.js";
export type { WaitOptions } from "./asker.js";
export type { ClientOptions } from "./client.js";
export { Approvals, Dead, Files, Queues, Workers } from "./nouns.js";
export { type RunFilter, Runs, type StartOptions } from "./runs.js";
export { type ScheduleOptions, Schedules } from "./schedules.js";
export { type KeyedOptions, type RunOptions, type TaskFilter, Tasks } from "./tasks.js";
export { Context } from "./context.js";
export type { CancelReason, LlmOptions } from "./context.js";
export {
  CATEGORIES, Cancelled, Conflict, Forbidden, IdempotencyKeyReused, InvalidInput, InvalidRequest, KapelleError, LeaseLost,
  NoGateway, NoToken, NotFound, Problem, RunFailed, TaskCancelled, TaskError, TaskFailed, TooLarge, TooMany, Unauthorized,
  Unavailable, UnknownWorker, Unreachable, WaitTimeout,
} from "./errors.js";
export type { Category, ItemProblem, ProblemBody, TaskErrorOptions } from "./errors.js";
export { Host } from "./host.js";
export type { HostOptions, PerKey, WorkerFunction, WorkerOptions } from "./host.js";
export { Journal, Page, Run, Task } from "./model.js";
export type { Event, Failure, Json, NewTask, Retry, SubmitOptions } from "./model.js";
export { Output } from "./output.js";
export type { Provenance } from "./output.js";
