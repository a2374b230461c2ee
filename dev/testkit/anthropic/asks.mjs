// The same as ../openai/asks.mjs, with Anthropic's official SDK for TypeScript.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

const { groups, pause } = JSON.parse(readFileSync(0, "utf8"));
const client = new Anthropic();
const model = process.env.AI_MODEL;
const says = (content) => ({ model, max_tokens: 100, messages: [{ role: "user", content }] });

async function whole(content) {
  const answer = await client.messages.create(says(content));
  return { id: answer.id, text: answer.content[0].text };
}

async function streamed(content) {
  const answer = await client.messages.stream(says(content)).finalMessage();
  return { id: answer.id, text: answer.content[0].text };
}

const ways = [whole, streamed];
const answers = [];
for (const [at, questions] of groups.entries()) {
  if (pause?.before === at) {
    writeFileSync(pause.reached, "");
    while (!existsSync(pause.go)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  answers.push(...(await Promise.all(questions.map(ways[at % ways.length]))));
}
console.log(JSON.stringify({ answers }));
