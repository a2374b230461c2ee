# ---
# description: Shortens a text, by a model where there is one, else by its first sentences
# mode: pool
# ready: message
# slots: 1
# input: { type: object, required: [text], properties: { text: { type: string }, sentences: { type: integer, default: 2 } } }
# ---
"""A warm worker: one JSON object a line comes in, one goes out, in the messages of the worker protocol."""
import json
import os
import re
import sys

from openai import OpenAI, OpenAIError

MODEL = os.environ.get("AI_MODEL", "fast")


def shorten(task):
    text, count = task["input"]["text"], task["input"].get("sentences", 2)
    if "gateway_token" in task:
        prompt = f"Shorten to {count} sentences:\n{text}"
        try:
            client = OpenAI(api_key=task["gateway_token"], base_url=task["gateway_url"], max_retries=0)
            answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
            return {"digest": answer.choices[0].message.content, "by": "model"}
        except OpenAIError as error:
            print(f"text_digest: no model: {error}", file=sys.stderr, flush=True)
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    return {"digest": " ".join(sentences[:count]), "by": "first sentences"}


def say(message):
    print(json.dumps(message), flush=True)


def main():
    print(f"text_digest running with model: {MODEL}", flush=True)
    say({"name": "text_digest", "workers": ["text_digest"]})
    for line in sys.stdin:
        for task in json.loads(line).get("tasks", []):
            report = {"lease_token": task["lease_token"]}
            try:
                say({**report, "outcome": "succeed", "output": shorten(task)})
            except Exception as error:  # whatever it is, the next task must not suffer
                say({**report, "outcome": "fail", "error": {"category": "provider", "message": str(error)}})


main()
