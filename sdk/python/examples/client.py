"""Submits tasks to the workers of host.py: `python client.py`."""

from __future__ import annotations

from kapelle import Client, InvalidInput, NewTask

WORKFLOW = """
name: count-both
inputs: { type: object, required: [texts], properties: { texts: { type: array } } }
steps:
  count:
    for_each: ${{ inputs.texts }}
    worker: word_count
    with: { text: "${{ item }}" }
outputs: { counts: "${{ steps.count.output }}" }
"""


def main() -> None:
    with Client() as client:
        task = client.tasks.submit("word_count", {"text": "the quick brown fox"})
        print("words:", client.tasks.wait(task.id, timeout=30).result()["words"])

        ids = client.tasks.submit_batch([NewTask("word_count", {"text": "ha " * times}) for times in range(1, 4)])
        print("batch:", [client.tasks.wait(id, timeout=30).result()["words"] for id in ids])

        try:
            client.tasks.submit("word_count", {"text": 5})
        except InvalidInput as error:
            print("refused:", error.detail)

        run = client.runs.start(source=WORKFLOW, inputs={"texts": ["one two", "three"]})
        for event in client.runs.events(run.id):
            print(f"  {event.seq} {event.kind}")
        print("run:", client.runs.get(run.id).result())


if __name__ == "__main__":
    main()
