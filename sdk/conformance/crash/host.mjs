// A worker host of the crash harness: `host.mjs NAME LOG`. It writes each execution to LOG before it ends.

import { randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";

import { Host } from "../../typescript/dist/index.js";

const [name, log] = process.argv.slice(2);
const host = new Host({ name, slots: 8, drainTimeoutMs: 5_000 });

function begun(ctx) {
  const execution = { task: ctx.taskId, attempt: ctx.attempt, by: name, mark: randomBytes(8).toString("hex") };
  appendFileSync(log, `${JSON.stringify({ ...execution, at: Date.now() / 1000 })}\n`);
  return execution;
}

host.worker("quick", begun);
for (const worker of ["slow", "slow_async"]) {
  host.worker(worker, async (ctx, { seconds }) => {
    const execution = begun(ctx);
    await ctx.sleep(seconds * 1000);
    return execution;
  });
}
await host.run();
