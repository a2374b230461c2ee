"""The client process of the Kapelle side. KAPELLE_URL and KAPELLE_TOKEN name the server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from kapelle import AsyncClient, Client, NewTask
from steps import commands, submitted, timed

client = Client()
loop = asyncio.new_event_loop()
many = AsyncClient()
INPUT = {"text": "x" * 200}
FAN = {
    "name": "fan",
    "inputs": {"type": "object", "properties": {"items": {"type": "array"}}},
    "steps": {
        "each": {"for_each": "${{ inputs.items }}", "max_parallel": 1000, "worker": "step", "with": {"n": "${{ item }}"}},
        "join": {"needs": ["each"], "worker": "bench"},
    },
}


def open_tasks() -> int:
    return sum(queue["ready"] + queue["running"] + queue["waiting"] for queue in client.queues.list())


def singles(count: int, clients: int) -> Any:
    async def one(left: list[int]) -> None:
        while left[0] > 0:
            left[0] -= 1
            await many.tasks.submit("bench", INPUT)

    async def all() -> None:
        left = [count]
        await asyncio.gather(*(one(left) for _ in range(clients)))

    return submitted(lambda: loop.run_until_complete(all()), open_tasks)


def batch(count: int, size: int) -> Any:
    tasks = [NewTask("bench", INPUT) for _ in range(size)]

    def submit() -> None:
        for _ in range(count // size):
            client.tasks.submit_batch(tasks)

    return submitted(submit, open_tasks)


def idle(times: int) -> Any:
    return timed(times, lambda: client.run("bench", INPUT).result())


def chain(steps: int) -> str:
    found: dict[str, Any] = {"s0": {"worker": "step", "with": {"n": 0}}}
    for at in range(1, steps):
        found[f"s{at}"] = {"needs": [f"s{at - 1}"], "worker": "step", "with": {"n": f"${{{{ steps.s{at - 1}.output }}}}"}}
    return json.dumps({"name": "chain", "steps": found})


def run(source: str, inputs: Any = None) -> None:
    client.runs.wait(client.runs.start(source=source, inputs=inputs)).result()


def steps(times: int, steps: int) -> Any:
    source = chain(steps)
    return timed(times, lambda: run(source))


def fanout(times: int, items: int) -> Any:
    return timed(times, lambda: run(json.dumps(FAN), {"items": list(range(items))}))


def steady(rate: float, seconds: float) -> Any:
    """The milliseconds count from the moment at which a task was due."""
    total, ms = round(rate * seconds), []

    async def one(due: float) -> None:
        (await many.run("bench", INPUT)).result()
        ms.append((time.perf_counter() - due) * 1000)

    async def all() -> float:
        began = time.perf_counter()
        going = []
        for at in range(total):
            due = began + at / rate
            left = due - time.perf_counter()
            if left > 0:
                await asyncio.sleep(left)
            going.append(asyncio.ensure_future(one(due)))
        await asyncio.gather(*going)
        return time.perf_counter() - began

    return {"seconds": loop.run_until_complete(all()), "ms": ms}


commands(
    {"singles": singles, "batch": batch, "idle": idle, "steps": steps, "fanout": fanout, "steady": steady}
)
