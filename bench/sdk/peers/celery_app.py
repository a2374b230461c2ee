"""The tasks of the Celery side, and its worker process: `celery -A celery_app worker`. REDIS_PORT is that of the server."""

import os

from celery import Celery

_REDIS = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"
app = Celery("bench", broker=_REDIS, backend=_REDIS)
app.conf.update(
    task_acks_late=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=50,
    result_expires=3600,
)


@app.task(name="bench")
def bench(*_: object) -> None:
    return None


@app.task(name="step")
def step(n: int) -> int:
    return n + 1
