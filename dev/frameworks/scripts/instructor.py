import json
import os

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Answer(BaseModel):
    text: str


client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
for question in ("question one", "question two"):
    messages = [{"role": "user", "content": question}]
    answer = client.chat.completions.create(
        model=os.environ["AI_MODEL"], messages=messages, response_model=Answer, max_retries=0
    )
    print(json.dumps(answer.text))
