import json

from llama_index.llms.openai import OpenAI

model = OpenAI(model="gpt-4o-mini", max_retries=0)
for question in ("question one", "question two"):
    print(json.dumps(model.complete(question).text))
