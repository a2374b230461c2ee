import json
import os

from agents import Agent, Runner

agent = Agent(name="helper", model=os.environ["AI_MODEL"])
for question in ("question one", "question two"):
    print(json.dumps(Runner.run_sync(agent, question).final_output))
