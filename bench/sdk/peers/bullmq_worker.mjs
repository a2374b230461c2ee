// The worker process of the BullMQ side: `node bullmq_worker.mjs SLOTS`. REDIS_PORT is that of the server.

import { Worker } from "bullmq";
import { Redis } from "ioredis";

const connection = new Redis({ host: "127.0.0.1", port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null });
const worker = new Worker("bench", async (job) => (job.name === "step" ? job.data.n + 1 : null), {
  connection,
  concurrency: Number(process.argv[2]),
});
await worker.waitUntilReady();
console.log("ready");
