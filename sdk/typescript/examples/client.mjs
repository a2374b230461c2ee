// Submits tasks to the workers of host.mjs: `node client.mjs`.

import { Client, InvalidInput } from "kapelle";

const workflow = `
name: count-both
inputs: { type: object, required: [texts], properties: { texts: { type: array } } }
steps:
  count:
    for_each: \${{ inputs.texts }}
    worker: word_count
    with: { text: "\${{ item }}" }
outputs: { counts: "\${{ steps.count.output }}" }
`;

const client = new Client();
const result = async (id) => (await client.tasks.wait(id, { timeoutMs: 30_000 })).result();

const task = await client.tasks.submit("word_count", { text: "the quick brown fox" });
console.log("words:", (await result(task.id)).words);

const batch = [1, 2, 3].map((times) => ({ worker: "word_count", input: { text: "ha ".repeat(times) } }));
const ids = await client.tasks.submitBatch(batch);
console.log("batch:", (await Promise.all(ids.map(result))).map(({ words }) => words).join(", "));

try {
  await client.tasks.submit("word_count", { text: 5 });
} catch (error) {
  if (!(error instanceof InvalidInput)) throw error;
  console.log("refused:", error.detail);
}

const run = await client.runs.start(undefined, { source: workflow, inputs: { texts: ["one two", "three"] } });
for await (const event of client.runs.events(run.id)) console.log(`  ${event.seq} ${event.kind}`);
console.log("run:", JSON.stringify((await client.runs.get(run.id)).result()));
