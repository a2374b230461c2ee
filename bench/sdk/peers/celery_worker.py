"""The worker process of the Celery side: `python celery_worker.py SLOTS`, one process with that many threads."""

import sys

from celery.signals import worker_ready
from celery_app import app


@worker_ready.connect
def ready(**_: object) -> None:
    print("ready", file=sys.__stdout__, flush=True)


app.worker_main(
    ["worker", "--pool", "threads", "--concurrency", sys.argv[1], "--loglevel", "ERROR"]
    + ["--without-gossip", "--without-mingle", "--without-heartbeat"]
)
