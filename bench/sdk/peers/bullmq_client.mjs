// The client process of the BullMQ side. REDIS_PORT is that of the server.

import { FlowProducer, Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";

import { commands, repeat, steady, submitted, timed } from "../programs/steps.mjs";

const connection = new Redis({ host: "127.0.0.1", port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null });
const queue = new Queue("bench", { connection });
const events = new QueueEvents("bench", { connection });
const flows = new FlowProducer({ connection });
const data = { text: "x".repeat(200) };
await Promise.all([queue.waitUntilReady(), events.waitUntilReady(), flows.waitUntilReady()]);

const waiting = new Map();
const early = new Set();
events.on("completed", ({ jobId }) => {
  const done = waiting.get(jobId);
  if (!done) return void early.add(jobId);
  waiting.delete(jobId);
  done();
});

async function open() {
  const counts = await queue.getJobCounts("waiting", "active", "waiting-children");
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const one = (at) => ({ name: "step", queueName: "bench", data: { n: at } });

/** Each job waits for the one before it, which is its only child. */
function chain(steps) {
  let flow = one(0);
  for (let at = 1; at < steps; at++) flow = { ...one(at), children: [flow] };
  return flow;
}

async function flow(of) {
  const { job } = await flows.add(of);
  await job.waitUntilFinished(events);
}

await commands({
  singles: ({ count, clients }) => submitted(() => repeat(count, clients, () => queue.add("bench", data)), open),
  batch: ({ count, size }) => {
    const batch = Array.from({ length: size }, () => ({ name: "bench", data }));
    return submitted(() => repeat(count / size, 1, () => queue.addBulk(batch)), open);
  },
  idle: ({ times }) => timed(times, async () => (await queue.add("bench", data)).waitUntilFinished(events)),
  steps: ({ times, steps }) => timed(times, () => flow(chain(steps))),
  fanout: ({ times, items }) => {
    const children = Array.from({ length: items }, (_, at) => one(at));
    return timed(times, () => flow({ name: "bench", queueName: "bench", data: {}, children }));
  },
  // The events alone tell of the end, which costs a request less than `waitUntilFinished`.
  steady: (load) => {
    early.clear();
    return steady(load, async (done) => {
      const { id } = await queue.add("bench", data);
      if (early.delete(id)) done();
      else waiting.set(id, done);
    });
  },
});
