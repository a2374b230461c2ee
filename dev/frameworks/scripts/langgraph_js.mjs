import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";

const model = new ChatOpenAI({ model: process.env.AI_MODEL });
const answer = async (state) => ({ messages: [await model.invoke(state.messages)] });
const builder = new StateGraph(MessagesAnnotation).addNode("answer", answer);
const graph = builder.addEdge(START, "answer").addEdge("answer", END).compile();
for (const content of ["question one", "question two"]) {
  const state = await graph.invoke({ messages: [{ role: "user", content }] });
  console.log(JSON.stringify(state.messages.at(-1).content));
}
