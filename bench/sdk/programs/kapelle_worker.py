"""The worker process of the Kapelle side: `python kapelle_worker.py SLOTS`. KAPELLE_URL and KAPELLE_TOKEN name the server."""

import logging
import sys
import threading

from kapelle import Context, Host, Json

logging.getLogger("kapelle").addHandler(logging.NullHandler())
host = Host(slots=int(sys.argv[1]))


@host.worker("bench")
def bench(ctx: Context, input: Json) -> Json:
    return None


@host.worker("step")
def step(ctx: Context, input: Json) -> Json:
    return input["n"] + 1


def ready() -> None:
    host.wait_ready()
    print("ready", flush=True)


threading.Thread(target=ready, daemon=True).start()
host.run()
