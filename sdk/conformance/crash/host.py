"""A worker host of the crash harness: `host.py NAME LOG`. It writes each execution to LOG before it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from typing import Any, TextIO

from kapelle import AsyncContext, Context, Host, Json

NAME, LOG = sys.argv[1:]
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
host = Host(name=NAME, slots=8, drain_timeout=5)
log: TextIO = open(LOG, "a", buffering=1)  # noqa: SIM115


def begun(ctx: Context | AsyncContext) -> dict[str, Any]:
    execution = {"task": ctx.task, "attempt": ctx.attempt, "by": NAME, "mark": f"{random.getrandbits(64):x}"}
    log.write(json.dumps({**execution, "at": time.time()}) + "\n")
    return execution


@host.worker("quick")
def quick(ctx: Context, input: Json) -> Json:
    return begun(ctx)


@host.worker("slow")
def slow(ctx: Context, input: Json) -> Json:
    execution = begun(ctx)
    ctx.sleep(input["seconds"])
    return execution


@host.worker("slow_async")
async def slow_async(ctx: AsyncContext, input: Json) -> Json:
    execution = begun(ctx)
    await asyncio.sleep(input["seconds"])
    return execution


host.run()
