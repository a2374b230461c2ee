#!/usr/bin/env python3
"""A worker host with nothing but the standard library. It answers with its input and its own name, writes down what it
claimed, said and was told, and reports whatever it has begun, also when it was told to stop: that the server refuses
what is late is the server's duty, not the host's good will."""
import http.client
import json
import os
import queue
import sys
import threading
import time

ADDRESS, TOKEN = os.environ["HOST_SERVER"], os.environ["HOST_TOKEN"]
NAME, SLOTS = os.environ["HOST_NAME"], int(os.environ["HOST_SLOTS"])
ACK = os.environ.get("HOST_ACK") == "1"
LOG = open(os.environ["HOST_LOG"], "a", buffering=1)

leases = {}  # lease token -> when it was last certainly ours, in seconds of the monotonic clock
guard = threading.Lock()
own = threading.local()
registered = {"id": None}


def now():
    return time.time_ns() // 1000


def note(**event):
    event["by"] = NAME
    with guard:
        LOG.write(json.dumps(event) + "\n")


def ask(method, path, body=None):
    """The status and the answer; None when the server did not answer."""
    try:
        if getattr(own, "connection", None) is None:
            own.connection = http.client.HTTPConnection(ADDRESS, timeout=60)
        headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
        own.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = own.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text)
    except (OSError, http.client.HTTPException, ValueError):
        if getattr(own, "connection", None) is not None:
            own.connection.close()
        own.connection = None
        return None


def insist(method, path, body):
    """Asks until there is an answer that is not about the server being away; with the number of tries before it."""
    tries = 0
    while True:
        answer = ask(method, path, body)
        if answer is not None and answer[0] < 500:
            return answer, tries
        tries += 1
        time.sleep(0.02)


def register():
    workers = os.environ["HOST_WORKERS"].split(",")
    body = {"name": NAME, "slots": SLOTS, "workers": workers, "ack": ACK}
    (status, answer), _ = insist("POST", "/api/v1/hosts", body)
    if status != 201:
        sys.exit(f"the server does not want this host: {status} {answer}")
    registered["id"] = answer["id"]


def heartbeat():
    while True:
        time.sleep(2)
        with guard:
            held = list(leases)
        sent = time.monotonic()
        path = f"/api/v1/hosts/{registered['id']}/heartbeat"
        answer = ask("POST", path, {"tasks": [{"lease_token": lease} for lease in held]})
        if answer is None or answer[0] != 200:
            continue
        gone = set(answer[1]["cancel"])
        with guard:
            for lease in held:
                if lease in leases and lease not in gone:
                    leases[lease] = sent


def work(todo):
    while True:
        task = todo.get()
        given, attempt, lease = task["input"], task["attempt"], task["lease_token"]
        time.sleep(given.get("ms", 0) / 1000)
        body, outcome = {"lease_token": lease}, "succeed"
        if attempt <= given.get("fail", 0):
            outcome = "fail"
            body["error"] = {"category": "unavailable", "message": "asked to fail"}
        elif attempt <= given.get("release", 0):
            outcome = "release"
        else:
            body["output"] = {"n": given["n"], "by": NAME, "attempt": attempt}
        with guard:
            silent = time.monotonic() - leases[lease]
        sent = now()
        (status, answer), tries = insist("POST", f"/api/v1/tasks/{task['id']}/{outcome}", body)
        with guard:
            del leases[lease]
        told = "accepted" if status == 200 else answer.get("code", str(status))
        note(event="report", task=task["id"], attempt=attempt, outcome=outcome, sent=sent, got=now(), told=told,
             tries=tries, silent_ms=int(silent * 1000))


def main():
    todo = queue.Queue()
    register()
    for target, arguments in [(heartbeat, ())] + [(work, (todo,))] * SLOTS:
        threading.Thread(target=target, args=arguments, daemon=True).start()
    print("ready", flush=True)
    while True:
        with guard:
            free = SLOTS - len(leases)
        if free == 0:
            time.sleep(0.002)
            continue
        sent, certain = now(), time.monotonic()
        answer = ask("POST", f"/api/v1/hosts/{registered['id']}/claim", {"max_tasks": free, "wait_ms": 5000})
        if answer is None or answer[0] != 200:
            time.sleep(0.02)
            if answer is not None and answer[0] == 404:
                register()
            continue
        tasks = answer[1]["tasks"]
        with guard:
            # Of a claim that waited it is only certain that the lease is not older than the answer, less a moment.
            leases.update((task["lease_token"], max(certain, time.monotonic() - 1)) for task in tasks)
        for task in tasks:
            note(event="claim", task=task["id"], attempt=task["attempt"], sent=sent, got=now())
        if ACK and tasks:
            ask("POST", f"/api/v1/hosts/{registered['id']}/ack", {"lease_tokens": [t["lease_token"] for t in tasks]})
        for task in tasks:
            todo.put(task)


main()
