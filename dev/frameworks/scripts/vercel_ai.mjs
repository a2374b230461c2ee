import { openai } from "@ai-sdk/openai";
import { generateText } from "ai";

for (const prompt of ["question one", "question two"]) {
  const { text } = await generateText({ model: openai(process.env.AI_MODEL), prompt });
  console.log(JSON.stringify(text));
}
