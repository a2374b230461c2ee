import json

from crewai import Agent, Crew, Task

helper = Agent(role="helper", goal="answer questions", backstory="You know a lot.", llm="openai/gpt-4o-mini")
for question in ("question one", "question two"):
    task = Task(description=question, expected_output="one word", agent=helper)
    print(json.dumps(Crew(agents=[helper], tasks=[task]).kickoff().raw))
