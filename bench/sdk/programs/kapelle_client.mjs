// The client process of the Kapelle side. KAPELLE_URL and KAPELLE_TOKEN name the server.

import { Client } from "../../../sdk/typescript/dist/index.js";
import { commands, repeat, steady, submitted, timed } from "./steps.mjs";

const client = new Client();
const { tasks, runs } = client;
const input = { text: "x".repeat(200) };

async function open() {
  let left = 0;
  for (const queue of await client.queues.list()) left += queue.ready + queue.running + queue.waiting;
  return left;
}

async function run(source, inputs) {
  (await runs.wait(await runs.start(undefined, { source, inputs }))).result();
}

function chain(steps) {
  const one = (at) => ({ worker: "step", with: { n: at ? `\${{ steps.s${at - 1}.output }}` : 0 }, ...(at ? { needs: [`s${at - 1}`] } : {}) });
  return { name: "chain", steps: Object.fromEntries(Array.from({ length: steps }, (_, at) => [`s${at}`, one(at)])) };
}

const FAN = {
  name: "fan",
  inputs: { type: "object", properties: { items: { type: "array" } } },
  steps: {
    each: { for_each: "${{ inputs.items }}", max_parallel: 1000, worker: "step", with: { n: "${{ item }}" } },
    join: { needs: ["each"], worker: "bench" },
  },
};

await commands({
  singles: ({ count, clients }) => submitted(() => repeat(count, clients, () => tasks.submit("bench", input)), open),
  batch: ({ count, size }) => {
    const batch = Array.from({ length: size }, () => ({ worker: "bench", input }));
    return submitted(() => repeat(count / size, 1, () => tasks.submitBatch(batch)), open);
  },
  idle: ({ times }) => timed(times, async () => (await client.run("bench", input)).result()),
  steps: ({ times, steps }) => {
    const source = JSON.stringify(chain(steps));
    return timed(times, () => run(source));
  },
  fanout: ({ times, items }) => {
    const inputs = { items: Array.from({ length: items }, (_, at) => at) };
    return timed(times, () => run(JSON.stringify(FAN), inputs));
  },
  steady: (load) => steady(load, (done) => client.run("bench", input).then((task) => task.result()).then(done)),
});
