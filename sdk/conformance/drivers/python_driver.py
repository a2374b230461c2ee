"""The Python SDK as the conformance scenarios drive it (see ../README.md). With `--async` its asyncio face."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import kapelle
from kapelle import (
    AsyncClient,
    AsyncJournal,
    AsyncPage,
    Client,
    Event,
    Host,
    Journal,
    NewTask,
    Page,
    Retry,
    Run,
    Task,
    TaskError,
)

ASYNC = "--async" in sys.argv
POLL = "--poll" in sys.argv
"""Without streams."""
ITEMS = {"tasks.list": "tasks", "dead.list": "tasks", "runs.steps": "tasks", "runs.list": "runs"}
_out = threading.Lock()


def say(message: dict[str, Any]) -> None:
    line = json.dumps(message)
    with _out:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def shown(value: Any, name: str | None = None) -> Any:
    """What a command gave, in the words that all drivers share. `name` is what the items of a page are called."""
    if isinstance(value, (Task, Run)):
        fields = {key: getattr(value, key) for key in ("id", "state", "reason", "ended")}
        if isinstance(value, Task):
            fields |= {key: getattr(value, key) for key in ("attempt", "worker", "queue", "output", "run", "degraded")}
            fields |= {"progress": value.raw.get("progress"), "provider": value.raw.get("provider")}
        else:
            fields |= {key: getattr(value, key) for key in ("workflow", "seq", "outputs")}
        error = value.error
        if error:
            after = None if error.retry_after is None else round(error.retry_after * 1000)
            fields["error"] = {**dataclasses.asdict(error), "retry_after_ms": after}
            del fields["error"]["retry_after"]
        else:
            fields["error"] = None
        return fields
    if isinstance(value, list):
        return [shown(one) for one in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Event):
        return {"kind": value.kind, "seq": value.seq, "data": value.data}
    if isinstance(value, (Journal, AsyncJournal)):
        return {"entries": list(value), "next": value.next}
    if isinstance(value, (Page, AsyncPage)):
        return {name: [shown(item) for item in value], "more": value.next_cursor is not None} if name else list(value)
    return value


def told(error: BaseException) -> dict[str, Any]:
    """An error, in the words that all drivers share."""
    shown = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, kapelle.Problem):
        shown |= {"code": error.code, "status": error.status, "problem": True}
    if isinstance(error, kapelle.Problem) and error.errors:
        shown["errors"] = {
            str(index): {"code": item.code, "detail": item.detail, "field": item.field}
            for index, item in error.errors.items()
        }
        shown["errors_total"] = error.errors_total
    if isinstance(error, (ValueError, TypeError)):
        shown["kind"] = "BadArgument"
    return shown


def retry(given: dict[str, Any] | None) -> Retry | None:
    if given is None:
        return None
    words = {"delay_ms": "delay", "max_delay_ms": "max_delay"}
    return Retry(**{words.get(key, key): value / 1000 if key in words else value for key, value in given.items()})


def new_task(given: dict[str, Any]) -> NewTask:
    fields = dict(given)
    for key in ("delay_ms", "ttl_ms", "timeout_ms"):
        if key in fields:
            fields[key.removesuffix("_ms")] = fields.pop(key) / 1000
    if "deadline_in_ms" in fields:
        fields["deadline"] = datetime.now(timezone.utc) + timedelta(milliseconds=fields.pop("deadline_in_ms"))
    fields["retry"] = retry(fields.get("retry"))
    return NewTask(**fields)


# -- the client ------------------------------------------------------------------------------------------------------

clients: dict[str, Any] = {}
gates: dict[str, threading.Event] = {}
hosts: dict[str, tuple[Host, threading.Event, list[BaseException]]] = {}
main: queue.Queue[Callable[[], None] | None] = queue.Queue()


def gate(name: str) -> threading.Event:
    return gates.setdefault(name, threading.Event())


def call(client: Any, given: dict[str, Any]) -> Any:
    """The client's method that a command names; awaited by the caller where it must be."""
    what, of = given["do"], given
    tasks, runs = client.tasks, client.runs
    if what == "tasks.submit":
        task = new_task(of["task"])
        options = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
        worker, input = options.pop("worker"), options.pop("input")
        return tasks.submit(worker, input, **options, idempotency_key=of.get("idempotency_key"))
    if what == "tasks.submit_batch":
        return tasks.submit_batch([new_task(task) for task in of["tasks"]], idempotency_key=of.get("idempotency_key"))
    if what == "tasks.wait_all":
        return tasks.wait_all(of["of"], seconds(of.get("timeout_ms")))
    if what == "run":
        task = of["task"]
        options = {key: task[key] for key in task if key not in ("worker", "input")}
        key, timeout = of.get("idempotency_key"), seconds(of.get("timeout_ms"))
        return client.run(task["worker"], task.get("input"), **options, idempotency_key=key, wait_timeout=timeout)
    if what in ("tasks.wait", "runs.wait"):
        return (tasks if what == "tasks.wait" else runs).wait(of["of"], seconds(of.get("timeout_ms")))
    if what in ("tasks.list", "runs.list"):
        return (tasks if what == "tasks.list" else runs).list(**of.get("filter", {}))
    if what in ("tasks.cancel", "runs.cancel"):
        return (tasks if what == "tasks.cancel" else runs).cancel(of["of"], of.get("reason"))
    if what == "runs.start":
        source = json.dumps(of["source"]) if isinstance(of.get("source"), dict) else of.get("source")
        return runs.start(
            of.get("workflow"), of.get("inputs"), source=source, idempotency_key=of.get("idempotency_key")
        )
    if what == "runs.journal":
        return runs.journal(of["of"], of.get("start", 0), of.get("limit"))
    if what == "runs.signal":
        return runs.signal(of["of"], of["name"], of.get("payload"))
    if what == "runs.rerun":
        return runs.rerun(of["of"], of.get("step"))
    if what in ("dead.list", "dead.discard"):
        given_id = {"dead.discard": [of.get("of"), of.get("reason")]}.get(what, [])
        return getattr(client.dead, what.removeprefix("dead."))(*given_id, **of.get("filter", {}))
    if what == "files.give":
        return client.files.give(of["text"].encode(), of["name"], of.get("media_type", "text/plain"))
    if what == "approvals.approve":
        return client.approvals.approve(of["of"], of.get("comment"), of.get("by"))
    noun, _, verb = what.partition(".")
    method = getattr(getattr(client, noun), verb) if verb else getattr(client, noun)
    return method(of["of"]) if "of" in of else method()


def ask(given: dict[str, Any]) -> Any:
    client = clients[given.get("client", "default")]
    if given["do"] in ("runs.events", "events"):
        return events(client, given)
    if not ASYNC:
        return shown(call(client, given), ITEMS.get(given["do"]))

    async def work() -> Any:
        return shown(await call(client, given), ITEMS.get(given["do"]))

    return asyncio.run_coroutine_threadsafe(work(), loop).result()


def events(client: Any, given: dict[str, Any]) -> Any:
    def open() -> Any:
        return client.runs.events(given["of"], given.get("after")) if "of" in given else client.events()

    most, until = given.get("most", 1_000_000), given.get("until")

    def enough(found: list[Any], event: Event) -> bool:
        found.append(shown(event))
        say({"event": "seen", "of": given.get("of"), "seq": event.seq, "kind": event.kind})
        return len(found) >= most or event.kind == until

    found: list[Any] = []
    if not ASYNC:
        for event in open():
            if enough(found, event):
                break
        return found

    async def work() -> Any:
        async for event in open():
            if enough(found, event):
                break
        return found

    return asyncio.run_coroutine_threadsafe(work(), loop).result()


# -- the host --------------------------------------------------------------------------------------------------------


def plan(acts: list[list[dict[str, Any]]], ctx: Any) -> list[dict[str, Any]]:
    return acts[min(ctx.attempt, len(acts)) - 1]


def act(one: dict[str, Any], ctx: Any, input: Any) -> tuple[Any] | None:
    """An act that takes no time; one that ends the attempt gives its answer."""
    if "return" in one:
        return (one["return"],)
    if "return_input" in one:
        return (input,)
    if "return_text" in one:
        return (one["return_text"]["text"] * one["return_text"]["times"],)
    if "return_odd" in one:
        return ({"not": float("nan")} if one["return_odd"] == "nan" else {"half": "\ud800"},)
    if "return_degraded" in one:
        return (kapelle.Output(input, provider="test", degraded_reason=one["return_degraded"]),)
    if "context" in one:
        fields = ("task", "attempt", "last_attempt", "worker", "run", "step", "cancelled")
        return ({**{name: getattr(ctx, name) for name in fields}, "timeout_ms": round(ctx.timeout * 1000)},)
    if "gateway" in one:
        return (gateway(ctx),)
    if "fail" in one:
        given = dict(one["fail"])
        after = given.pop("retry_after_ms", None)
        raise TaskError(given.pop("message"), **given, retry_after=seconds(after))
    if "raise" in one:
        raise RuntimeError(one["raise"])
    if "progress" in one:
        ctx.progress(*one["progress"])
    if "block_ms" in one:
        time.sleep(one["block_ms"] / 1000)
    return None


def gateway(ctx: Any) -> dict[str, Any]:
    """What a function meets that asks the gateway with what its context gives it."""
    url, token = ctx.gateway
    body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "hi"}]}).encode()
    models, _ = plain(f"{url}/models", token)
    chat, answer = plain(f"{url}/chat/completions", token, body)
    code = answer.get("error", {}).get("code")
    return {"at": f"{url}/models", "token": token, "models": models, "chat": chat, "code": code}


def plain(url: str, token: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """The status and answer of a request as a program without the SDK makes it."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body, headers), timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def sync_worker(name: str, acts: list[list[dict[str, Any]]]) -> Callable[[kapelle.Context, Any], Any]:
    def work(ctx: kapelle.Context, input: Any) -> Any:
        say({"event": "started", "worker": name, "task": ctx.task, "attempt": ctx.attempt})
        try:
            for one in plan(acts, ctx):
                if "gate" in one:
                    while not gate(one["gate"]).wait(0.02):
                        ctx.check()
                elif "sleep_ms" in one:
                    ctx.sleep(one["sleep_ms"] / 1000)
                elif "file" in one:
                    return ctx.file(input[one["file"]]).decode()
                answer = act(one, ctx, input)
                if answer:
                    return answer[0]
        except kapelle.Cancelled:
            say({"event": "cancelled", "worker": name, "task": ctx.task, "why": ctx.cancel_reason})
            raise

    return work


def async_worker(name: str, acts: list[list[dict[str, Any]]]) -> Any:
    async def work(ctx: kapelle.AsyncContext, input: Any) -> Any:
        say({"event": "started", "worker": name, "task": ctx.task, "attempt": ctx.attempt})
        try:
            for one in plan(acts, ctx):
                if "gate" in one:
                    while not gate(one["gate"]).is_set():
                        await asyncio.sleep(0.02)
                elif "sleep_ms" in one:
                    await asyncio.sleep(one["sleep_ms"] / 1000)
                elif "file" in one:
                    return (await ctx.file(input[one["file"]])).decode()
                answer = act(one, ctx, input)
                if answer:
                    return answer[0]
        except asyncio.CancelledError:
            say({"event": "cancelled", "worker": name, "task": ctx.task, "why": ctx.cancel_reason})
            raise

    return work


def start_host(given: dict[str, Any]) -> dict[str, Any]:
    host = Host(
        given.get("url"),
        given.get("token"),
        slots=given.get("slots", 4),
        queues=given.get("queues", ()),
        labels=given.get("labels"),
        drain_timeout=given.get("drain_timeout_ms", 30_000) / 1000,
        long_poll=POLL,
    )
    for name, of in given["workers"].items():
        options = {key: of[key] for key in ("queue", "input", "output", "description", "requires", "per_key", "rate") if key in of}
        make = async_worker if ASYNC else sync_worker
        register = host.worker(name, **options, timeout=seconds(of.get("timeout_ms")), retry=retry(of.get("retry")))
        register(make(name, of["acts"]))
    ended, errors = threading.Event(), []
    hosts[given["host"]] = (host, ended, errors)

    def work() -> None:
        try:
            host.run() if given.get("signals") else asyncio.run(host.serve())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    if given.get("signals"):
        main.put(work)
    else:
        threading.Thread(target=work, daemon=True).start()
    return {}


def reset() -> dict[str, Any]:
    """As if freshly started: what a scenario leaves behind is nothing to the next."""
    for host, ended, _ in hosts.values():
        if not ended.is_set():
            host.stop()
            host.stop()
    for _, ended, _ in hosts.values():
        if not ended.wait(10):
            raise TimeoutError("a host does not end")
    for known in (hosts, gates, clients):
        known.clear()
    return {}


def do(given: dict[str, Any]) -> Any:
    what = given["do"]
    if what == "connect":
        kind = AsyncClient if ASYNC else Client
        client = kind(given.get("url"), given.get("token"), retry_for=given.get("retry_for_ms", 5_000) / 1000, long_poll=POLL)
        clients[given.get("client", "default")] = client
        return {"url": client.url}
    if what == "host.start":
        return start_host(given)
    if what == "host.stop":
        hosts[given["host"]][0].stop()
        return {}
    if what == "host.ended":
        host, ended, errors = hosts[given["host"]]
        if not ended.wait(given["timeout_ms"] / 1000):
            raise TimeoutError("the host has not ended")
        if errors:
            raise errors[0]
        return {}
    if what == "open":
        gate(given["gate"]).set()
        return {}
    if what == "reset":
        return reset()
    return ask(given)


def answer(given: dict[str, Any]) -> None:
    try:
        say({"id": given["id"], "ok": do(given)})
    except BaseException as error:
        say({"id": given["id"], "error": told(error)})


def commands() -> None:
    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    main.put(None)


class Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say({"event": "log", "text": record.getMessage()})


logging.getLogger("kapelle").addHandler(Told())
logging.getLogger("kapelle").setLevel(logging.INFO)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
threading.Thread(target=commands, daemon=True).start()
# `Host.run` listens for signals, which only the main thread may.
while work := main.get():
    work()
    say({"event": "main_ended"})
    break
else:
    os._exit(0)
os._exit(0)
