import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "helper", model: process.env.AI_MODEL });
for (const question of ["question one", "question two"]) {
  const result = await run(agent, question);
  console.log(JSON.stringify(result.finalOutput));
}
