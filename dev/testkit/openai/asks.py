"""The same as asks.mjs, with the official SDK for Python."""

import json
import os
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from openai import OpenAI

client = OpenAI()
model = os.environ["AI_MODEL"]


def whole(text):
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
    return {"id": answer.id, "text": answer.choices[0].message.content}


def streamed(text):
    said = {"id": None, "text": ""}
    messages = [{"role": "user", "content": text}]
    for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
        said["id"] = chunk.id
        said["text"] += chunk.choices[0].delta.content or "" if chunk.choices else ""
    return said


def response(text):
    answer = client.responses.create(model=model, input=text)
    return {"id": answer.id, "text": answer.output_text}


task = json.load(sys.stdin)
pause = task.get("pause") or {}
ways = [whole, streamed, response]
answers = []
with ThreadPoolExecutor() as threads:
    for at, questions in enumerate(task["groups"]):
        if pause.get("before") == at:
            pathlib.Path(pause["reached"]).touch()
            while not pathlib.Path(pause["go"]).exists():
                time.sleep(0.02)
        answers.extend(threads.map(ways[at % len(ways)], questions))
print(json.dumps({"answers": answers}))
