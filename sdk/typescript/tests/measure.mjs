// Measures the processor time of a submit in this process: `node tests/measure.mjs [DIST] [COUNT]` in the folder of a project
// whose server is running. DIST is another build of this package; to compare two, run them by turns.

import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [dist = new URL("../dist", import.meta.url).pathname, count = "5000"] = process.argv.slice(2);
const { Client, Host } = await import(pathToFileURL(resolve(dist, "index.js")).href);

// Tasks of a paused host are never begun: it is registered, and asked to end.
const host = new Host({ log: () => undefined });
host.worker("measured", () => null);
const serving = host.serve();
await new Promise((ready) => setTimeout(ready, 500));
host.stop();
await serving;

const client = new Client();
const input = { text: "x".repeat(200) };
const queue = "measured";

async function submits(total, inFlight) {
  let left = total;
  const one = async () => {
    while (left-- > 0) await client.tasks.submit("measured", input, { queue });
  };
  const began = performance.now();
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, one));
  const { user, system } = process.cpuUsage(cpu);
  const ms = performance.now() - began;
  const us = Math.round((user + system) / total);
  console.log(`${String(inFlight).padStart(3)} in flight: ${String(us).padStart(5)} us of processor time a submit, ${Math.round((total / ms) * 1000)} submits/s`);
}

await submits(500, 10);
for (const inFlight of [1, 50]) await submits(Number(count), inFlight);
