import { query } from "@anthropic-ai/claude-agent-sdk";

const options = { model: process.env.AI_MODEL, allowedTools: [], maxTurns: 1 };
for (const prompt of ["question one", "question two"]) {
  for await (const message of query({ prompt, options })) {
    if (message.type !== "result") continue;
    if (message.is_error) throw new Error(message.result);
    console.log(JSON.stringify(message.result));
  }
}
