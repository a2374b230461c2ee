"""A worker host: three workers, one of each kind. Start it with a server running: `python host.py`."""

from __future__ import annotations

import asyncio
from typing import Any

from kapelle import AsyncContext, Context, Host, Retry, TaskError

host = Host(slots=4, labels={"language": "python"})


@host.worker(
    "word_count",
    description="Counts words",
    input={"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
)
def word_count(ctx: Context, input: dict[str, Any]) -> dict[str, int]:
    """Input that does not match the schema never arrives here: its submission is refused."""
    return {"words": len(input["text"].split())}


@host.worker("countdown", timeout=60)
async def countdown(ctx: AsyncContext, input: dict[str, Any]) -> str:
    """Cancelled while it sleeps, as soon as the task is cancelled."""
    start = int(input["from"])
    for left in range(start, 0, -1):
        ctx.progress(1 - left / start, f"{left} to go")
        await asyncio.sleep(input.get("every", 1.0))
    return "lift-off"


@host.worker("ask", retry=Retry(max_attempts=5, delay=2))
def ask(ctx: Context, input: dict[str, Any]) -> dict[str, Any]:
    """A model call that is metered, capped and survives crashes. Needs 'kapelle[openai]' and a server with a gateway."""
    answer = ctx.llm.chat.completions.create(model="fast", messages=[{"role": "user", "content": input["question"]}])
    text = answer.choices[0].message.content
    if not text:
        raise TaskError("the model said nothing", category="invalid_output")
    return {"text": text}


if __name__ == "__main__":
    host.run()
