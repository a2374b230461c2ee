// A script as anybody would write it with the official SDK: it asks questions, group by group, those of a group at once,
// and knows nothing of who runs it. On standard input `{ "groups": [["...", ...], ...], "pause": { "before", "reached", "go" } }`:
// before that group it says so by a file and waits for another.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import OpenAI from "openai";

const { groups, pause } = JSON.parse(readFileSync(0, "utf8"));
const client = new OpenAI();
const model = process.env.AI_MODEL;

async function whole(content) {
  const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  return { id: answer.id, text: answer.choices[0].message.content };
}

async function streamed(content) {
  const stream = await client.chat.completions.create({ model, messages: [{ role: "user", content }], stream: true });
  const said = { id: null, text: "" };
  for await (const chunk of stream) {
    said.id = chunk.id;
    said.text += chunk.choices[0]?.delta?.content ?? "";
  }
  return said;
}

async function response(input) {
  const answer = await client.responses.create({ model, input });
  return { id: answer.id, text: answer.output_text };
}

const ways = [whole, streamed, response];
const answers = [];
for (const [at, questions] of groups.entries()) {
  if (pause?.before === at) {
    writeFileSync(pause.reached, "");
    while (!existsSync(pause.go)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  answers.push(...(await Promise.all(questions.map(ways[at % ways.length]))));
}
console.log(JSON.stringify({ answers }));
