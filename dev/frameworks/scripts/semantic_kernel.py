import asyncio
import json
import os

from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion


async def main() -> None:
    service = OpenAIChatCompletion(ai_model_id=os.environ["AI_MODEL"])
    agent = ChatCompletionAgent(service=service, name="helper", instructions="Answer in one word.")
    for question in ("question one", "question two"):
        answer = await agent.get_response(messages=question)
        print(json.dumps(str(answer)))


asyncio.run(main())
