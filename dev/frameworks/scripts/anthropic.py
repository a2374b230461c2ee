import json
import os

from anthropic import Anthropic

client = Anthropic()
for question in ("question one", "question two"):
    messages = [{"role": "user", "content": question}]
    answer = client.messages.create(model=os.environ["AI_MODEL"], max_tokens=100, messages=messages)
    print(json.dumps(answer.content[0].text))
