import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
for (const content of ["question one", "question two"]) {
  const messages = [{ role: "user", content }];
  const answer = await client.messages.create({ model: process.env.AI_MODEL, max_tokens: 100, messages });
  console.log(JSON.stringify(answer.content[0].text));
}
