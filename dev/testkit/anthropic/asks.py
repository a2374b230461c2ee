"""The same as ../openai/asks.mjs, with Anthropic's official SDK for Python."""

import json
import os
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from anthropic import Anthropic

client = Anthropic()
model = os.environ["AI_MODEL"]


def says(text):
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


def whole(text):
    answer = client.messages.create(**says(text))
    return {"id": answer.id, "text": answer.content[0].text}


def streamed(text):
    with client.messages.stream(**says(text)) as stream:
        answer = stream.get_final_message()
    return {"id": answer.id, "text": answer.content[0].text}


task = json.load(sys.stdin)
pause = task.get("pause") or {}
ways = [whole, streamed]
answers = []
with ThreadPoolExecutor() as threads:
    for at, questions in enumerate(task["groups"]):
        if pause.get("before") == at:
            pathlib.Path(pause["reached"]).touch()
            while not pathlib.Path(pause["go"]).exists():
                time.sleep(0.02)
        answers.extend(threads.map(ways[at % len(ways)], questions))
print(json.dumps({"answers": answers}))
