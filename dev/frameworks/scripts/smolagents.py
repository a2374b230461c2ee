import json
import os

from smolagents import OpenAIServerModel, ToolCallingAgent

agent = ToolCallingAgent(tools=[], model=OpenAIServerModel(model_id=os.environ["AI_MODEL"]), verbosity_level=0)
for question in ("question one", "question two"):
    print(json.dumps(agent.run(question)))
