import json
import os

from litellm import completion

for question in ("question one", "question two"):
    messages = [{"role": "user", "content": question}]
    answer = completion(model="openai/" + os.environ["AI_MODEL"], messages=messages)
    print(json.dumps(answer.choices[0].message.content))
