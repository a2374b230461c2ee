// A worker host: three workers. Start it with a server running: `node host.mjs`.

import { Host, TaskError } from "kapelle";

const host = new Host({ slots: 4, labels: { language: "javascript" } });

// Input that does not match the schema never arrives here: its submission is refused.
host.worker("word_count", (ctx, input) => ({ words: input.text.split(/\s+/).filter(Boolean).length }), {
  description: "Counts words",
  input: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
});

// Ends while it sleeps, as soon as the task is cancelled.
host.worker("countdown", async (ctx, input) => {
  for (let left = input.from; left > 0; left--) {
    ctx.progress(1 - left / input.from, `${left} to go`);
    await ctx.sleep((input.every ?? 1) * 1000);
  }
  return "lift-off";
}, { timeoutMs: 60_000 });

// A model call that is metered, capped and survives crashes. Needs the package openai and a server with a gateway.
host.worker("ask", async (ctx, input) => {
  const openai = await ctx.llm();
  const answer = await openai.chat.completions.create(
    { model: "fast", messages: [{ role: "user", content: input.question }] },
    { signal: ctx.signal },
  );
  const text = answer.choices[0].message.content;
  if (!text) throw new TaskError("the model said nothing", { category: "invalid_output" });
  return { text };
}, { retry: { maxAttempts: 5, delayMs: 2_000 } });

await host.run();
