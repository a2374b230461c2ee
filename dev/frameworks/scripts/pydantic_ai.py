import json
import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

agent = Agent(OpenAIChatModel(os.environ["AI_MODEL"]), instructions="Answer in one word.")
for question in ("question one", "question two"):
    print(json.dumps(agent.run_sync(question).output))
