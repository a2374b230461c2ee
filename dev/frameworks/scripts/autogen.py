import asyncio
import json

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    for question in ("question one", "question two"):
        agent = AssistantAgent("helper", model_client=client)
        result = await agent.run(task=question)
        print(json.dumps(result.messages[-1].content))


asyncio.run(main())
