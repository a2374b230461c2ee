# ---
# description: Counts the words of the files of a folder, and what they are about where there is a model
# mode: task
# input: { type: object, required: [folder], properties: { folder: { type: string }, ending: { type: string, default: .txt } } }
# ---
"""A process for each task: its input on standard input, its answer as the last line of standard output."""
import collections
import json
import os
import pathlib
import re
import sys

from openai import OpenAI, OpenAIError

MODEL = os.environ.get("AI_MODEL", "fast")
print(f"word_counter running with model: {MODEL}", flush=True)

task = json.load(sys.stdin)
folder = pathlib.Path(task["folder"])
if not folder.is_dir():
    message = f"{folder} is no folder"
    print(json.dumps({"error": {"category": "invalid_input", "message": message}}))
    sys.exit(1)
words, files = collections.Counter(), 0
for path in sorted(folder.glob(f"*{task.get('ending', '.txt')}")):
    files += 1
    words.update(re.findall(r"[^\W\d_]{4,}", path.read_text(encoding="utf-8", errors="replace").lower()))
answer = {"files": files, "words": sum(words.values()), "most": [word for word, _ in words.most_common(10)]}
if os.environ.get("OPENAI_API_KEY") and words:
    try:
        client = OpenAI(max_retries=0)
        response = client.responses.create(model=MODEL, input="What is this about? " + ", ".join(answer["most"]))
        answer["about"] = response.output_text
    except OpenAIError as error:
        print(f"word_counter: no model: {error}", file=sys.stderr, flush=True)
print(json.dumps(answer))
