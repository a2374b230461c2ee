"""What the client programs of both sides share: reading commands, and timing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def commands(rows: dict[str, Callable[..., Any]]) -> None:
    """Performs one command after another: lines of JSON in, lines of JSON out."""
    print("ready", flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps(rows[given.pop("row")](**given)), flush=True)


def submitted(submit: Callable[[], None], open: Callable[[], int]) -> dict[str, float]:
    """The seconds of submits and until `open` says that nothing is left."""
    began = time.perf_counter()
    submit()
    acknowledged = time.perf_counter()
    while open() > 0:
        time.sleep(0.02)
    return {"submitted": acknowledged - began, "ended": time.perf_counter() - began}


def timed(times: int, one: Callable[[], Any]) -> dict[str, list[float]]:
    """The milliseconds of `one`, that many times, one after the other."""
    ms = []
    for _ in range(times):
        began = time.perf_counter()
        one()
        ms.append((time.perf_counter() - began) * 1000)
    return {"ms": ms}
