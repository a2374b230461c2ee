import json
import os

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

model = ChatOpenAI(model=os.environ["AI_MODEL"])


def answer(state: MessagesState) -> dict:
    return {"messages": [model.invoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
builder.add_edge("answer", END)
graph = builder.compile()
for question in ("question one", "question two"):
    state = graph.invoke({"messages": [("user", question)]})
    print(json.dumps(state["messages"][-1].content))
