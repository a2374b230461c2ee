"""The client process of the Celery side. REDIS_PORT is that of the server."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import redis
from celery import chain, chord, group
from celery_app import app, bench, step

sys.path.insert(0, str(Path(__file__).parent.parent / "programs"))
from steps import commands, submitted, timed  # noqa: E402

store = redis.Redis(port=int(os.environ["REDIS_PORT"]))
INPUT = "x" * 200


def open_tasks() -> int:
    """Tasks that wait, and those that no worker has acknowledged."""
    return store.llen("celery") + store.hlen("unacked")


def singles(count: int, clients: int) -> Any:
    lock = threading.Lock()
    left = count

    def one() -> None:
        nonlocal left
        while True:
            with lock:
                if left == 0:
                    return
                left -= 1
            bench.delay(INPUT)

    def submit() -> None:
        threads = [threading.Thread(target=one) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return submitted(submit, open_tasks)


def batch(count: int, size: int) -> Any:
    """Celery has no batches: one thread submits one task after the other over one connection."""

    def submit() -> None:
        with app.producer_or_acquire() as producer:
            for _ in range(count):
                bench.apply_async((INPUT,), producer=producer)

    return submitted(submit, open_tasks)


def idle(times: int) -> Any:
    return timed(times, lambda: bench.delay(INPUT).get(timeout=60))


def steps(times: int, steps: int) -> Any:
    # Made each time: a chain that is submitted again has the results of the first time.
    return timed(times, lambda: chain(step.s(0), *(step.s() for _ in range(steps - 1))).apply_async().get(timeout=60))


def fanout(times: int, items: int) -> Any:
    def one() -> None:
        chord(group(step.s(at) for at in range(items)))(bench.s()).get(timeout=300)

    return timed(times, one)


def steady(rate: float, seconds: float) -> Any:
    """The milliseconds count from the moment at which a task was due, until its result is announced."""
    total, ms = round(rate * seconds), []
    due: dict[str, float] = {}
    early: dict[str, float] = {}
    lock, done = threading.Lock(), threading.Event()
    heard = store.pubsub()
    heard.psubscribe("celery-task-meta-*")

    def take(id: str, began: float, now: float) -> None:
        ms.append((now - began) * 1000)
        if len(ms) == total:
            done.set()

    def listen() -> None:
        for message in heard.listen():
            if message["type"] != "pmessage":
                continue
            now, id = time.perf_counter(), message["channel"].decode().removeprefix("celery-task-meta-")
            with lock:
                if id in due:
                    take(id, due.pop(id), now)
                else:
                    early[id] = now
            if done.is_set():
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    began = time.perf_counter()
    with app.producer_or_acquire() as producer:
        for at in range(total):
            moment = began + at / rate
            time.sleep(max(0.0, moment - time.perf_counter()))
            id = bench.apply_async((INPUT,), producer=producer).id
            with lock:
                if id in early:
                    take(id, moment, early.pop(id))
                else:
                    due[id] = moment
    if not done.wait(300):
        raise RuntimeError(f"{total - len(ms)} of {total} tasks have not ended")
    heard.close()
    return {"ms": ms, "seconds": time.perf_counter() - began}


commands({"singles": singles, "batch": batch, "idle": idle, "steps": steps, "fanout": fanout, "steady": steady})
