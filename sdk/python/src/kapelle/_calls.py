"""Requests of both clients."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from ._wire import Call
from .model import Json, NewTask, Part, Run, Seconds, Task, ms

Raw = Mapping[str, Any]
T = TypeVar("T")


def _raw(raw: Any) -> Raw:
    if not isinstance(raw, dict):
        raise TypeError("an object was expected")
    return raw


def _list(name: str, item: Callable[[Any], T]) -> Callable[[Any], Part[T]]:
    return lambda raw: Part([item(one) for one in raw[name]], raw.get("next_cursor"))


def _query(**given: Any) -> dict[str, str]:
    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {key: text(value) for key, value in given.items() if value is not None}


def _part(text: str) -> str:
    if not text:
        raise ValueError("an id or name is empty")
    return quote(text, safe="")


def fresh_key() -> str:
    """Makes a key under which a request is executed once, however often it is sent."""
    return f"py-{uuid.uuid4().hex}"


def health() -> Call[Raw]:
    return Call("GET", "/health", _raw)


def submit_one(body: bytes, key: str | None = None, stream: str = "") -> Call[Sequence[Raw]]:
    """Submits one encoded task. `stream` is that of results which tells of its end."""
    query = {"results": stream} if stream else {}
    return Call("POST", "/api/v1/tasks", lambda raw: [_raw(raw)], data=body, key=key or fresh_key(), query=query)


def run_one(body: bytes, key: str | None, wait: float) -> Call[Task]:
    """Submits one encoded task, and waits for its end."""
    query = _query(wait_ms=ms(wait))
    return Call("POST", "/api/v1/tasks", Task.read, data=body, key=key or fresh_key(), query=query, wait=wait)


def results(ids: Sequence[str]) -> Call[Raw]:
    """Opens a stream of the ends of tasks."""
    return Call("POST", "/api/v1/results", _raw, {"tasks": ids}, harmless=True)


def more_results(stream: str, ids: Sequence[str], forget: Sequence[str] = ()) -> Call[Raw]:
    """Adds tasks to a stream, and takes others off it."""
    return Call("POST", f"/api/v1/results/{_part(stream)}", _raw, {"tasks": ids, "forget": forget}, harmless=True)


def submit_several(bodies: Sequence[bytes], delayed: Sequence[bool], stream: str = "") -> Call[Sequence[Raw]]:
    """Submits encoded tasks, all or none. Answers as the server answers to each of them alone."""

    def read(raw: Any) -> Sequence[Raw]:
        ids = raw["ids"]
        if len(ids) != len(bodies):
            raise ValueError(f"{len(ids)} ids for {len(bodies)} tasks")
        return [{"id": id, "state": "scheduled" if later else "ready", "attempt": 0} for id, later in zip(ids, delayed)]

    content = b'{"tasks":[' + b",".join(bodies) + b"]}"
    query = {"results": stream} if stream else {}
    return Call("POST", "/api/v1/tasks/batch", read, data=content, key=fresh_key(), query=query)


def submit_batch(tasks: Sequence[NewTask], key: str | None) -> Call[Sequence[str]]:
    body = {"tasks": [task.wire() for task in tasks]}
    return Call("POST", "/api/v1/tasks/batch", lambda raw: list(raw["ids"]), body, key=key or fresh_key())


def task(id: str, wait: float = 0.0) -> Call[Task]:
    return Call("GET", f"/api/v1/tasks/{_part(id)}", Task.read, query=_query(wait_ms=ms(wait) or None), wait=wait)


def tasks(filters: Mapping[str, Any]) -> Call[Part[Task]]:
    return Call("GET", "/api/v1/tasks", _list("tasks", Task.read), query=_query(**filters))


def dead(filters: Mapping[str, Any]) -> Call[Part[Task]]:
    return Call("GET", "/api/v1/dead", _list("tasks", Task.read), query=_query(**filters))


def retry_dead(id: str) -> Call[Task]:
    return Call("POST", f"/api/v1/dead/{_part(id)}/retry", Task.read)


def discard_dead(id: str, reason: str | None) -> Call[Task]:
    return Call("POST", f"/api/v1/dead/{_part(id)}/discard", Task.read, _reason(reason))


def give_file(data: bytes, name: str, media_type: str) -> Call[Raw]:
    # Equal bytes are one file, so uploading them twice is harmless.
    return Call(
        "POST", "/api/v1/artifacts", _raw, data=data, media_type=media_type, query=_query(name=name), harmless=True
    )


def file(file: Raw | str) -> Call[bytes]:
    return Call("GET", f"/api/v1/artifacts/{_part(file_hash(file))}", bytes, binary=True)


def host_file(file: Raw | str) -> Call[bytes]:
    """Downloads a file for a host, whose key sees only the files of its tasks."""
    return Call("GET", f"/api/v1/files/{_part(file_hash(file))}", bytes, binary=True)


def file_hash(file: Raw | str) -> str:
    """Returns the `sha256:...` of what stands for a file."""
    found = file if isinstance(file, str) else file.get("$file")
    if not isinstance(found, str) or not found.startswith("sha256:"):
        raise ValueError(f"file: `{found}` is not a file such as sha256:...")
    return found


def cancel_task(id: str, reason: str | None) -> Call[Task]:
    return Call("POST", f"/api/v1/tasks/{_part(id)}/cancel", Task.read, _reason(reason))


def retry_task(id: str) -> Call[Task]:
    return Call("POST", f"/api/v1/tasks/{_part(id)}/retry", Task.read)


def start(
    workflow: str | None, source: str | None, inputs: Json, version: int | None, strategy: str | None, key: str | None
) -> Call[Run]:
    if (workflow is None) == (source is None):
        raise ValueError("name a workflow, or give its text as `source`")
    given = {"workflow": workflow, "source": source, "version": version, "strategy": strategy}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    body["inputs"] = {} if inputs is None else inputs
    return Call("POST", "/api/v1/runs", lambda raw: Run.read(raw, workflow or ""), body, key=key or fresh_key())


def run(id: str, wait: float = 0.0) -> Call[Run]:
    return Call("GET", f"/api/v1/runs/{_part(id)}", Run.read, query=_query(wait_ms=ms(wait) or None), wait=wait)


def runs(filters: Mapping[str, Any]) -> Call[Part[Run]]:
    return Call("GET", "/api/v1/runs", _list("runs", Run.read), query=_query(**filters))


def steps(id: str, filters: Mapping[str, Any]) -> Call[Part[Task]]:
    return Call("GET", f"/api/v1/runs/{_part(id)}/steps", _list("steps", Task.read), query=_query(**filters))


def journal(id: str, start: int, limit: int | None) -> Call[tuple[Sequence[Raw], int]]:
    def read(raw: Any) -> tuple[Sequence[Raw], int]:
        return list(raw["entries"]), raw["next"]

    return Call("GET", f"/api/v1/runs/{_part(id)}/journal", read, query=_query(**{"from": start, "limit": limit}))


def cancel_run(id: str, reason: str | None) -> Call[Run]:
    return Call("POST", f"/api/v1/runs/{_part(id)}/cancel", Run.read, _reason(reason))


def pause_run(id: str) -> Call[Run]:
    return Call("POST", f"/api/v1/runs/{_part(id)}/pause", Run.read)


def resume_run(id: str) -> Call[Run]:
    return Call("POST", f"/api/v1/runs/{_part(id)}/resume", Run.read)


def signal_run(id: str, name: str, payload: Json) -> Call[Run]:
    return Call("POST", f"/api/v1/runs/{_part(id)}/signals/{_part(name)}", Run.read, {"payload": payload})


def rerun(id: str, step: str | None, recorded: bool) -> Call[Run]:
    body: dict[str, Json] = {} if step is None else {"from": step}
    if recorded:
        body["recorded"] = True
    return Call("POST", f"/api/v1/runs/{_part(id)}/rerun", Run.read, body)


def approvals() -> Call[Part[Raw]]:
    return Call("GET", "/api/v1/approvals", _list("approvals", _raw))


def answer(id: str, word: str, comment: str | None, by: str | None = None) -> Call[Task]:
    given = {"comment": comment, "by": by}
    body = {name: text for name, text in given.items() if text is not None}
    return Call("POST", f"/api/v1/approvals/{_part(id)}/{word}", Task.read, body)


def workers() -> Call[Part[Raw]]:
    return Call("GET", "/api/v1/workers", _list("workers", _raw))


def workers_status() -> Call[Raw]:
    return Call("GET", "/api/v1/workers/status", _raw)


def queues() -> Call[Part[Raw]]:
    return Call("GET", "/api/v1/queues", _list("queues", _raw))


def gate_queue(name: str, word: str) -> Call[Raw]:
    return Call("POST", f"/api/v1/queues/{_part(name)}/{word}", _raw)


def schedules(filters: Mapping[str, Any]) -> Call[Part[Raw]]:
    return Call("GET", "/api/v1/schedules", _list("schedules", _raw), query=_query(**filters))


def schedule(name: str) -> Call[Raw]:
    return Call("GET", f"/api/v1/schedules/{_part(name)}", _raw)


def create_schedule(
    name: str,
    cron: str,
    workflow: str | None,
    worker: str | None,
    inputs: Json,
    timezone: str | None,
    catch_up: str | None,
    overlap: str | None,
    jitter: Seconds | None,
    replace: bool,
) -> Call[Raw]:
    if (workflow is None) == (worker is None):
        raise ValueError("name a workflow to run, or a worker to submit tasks to")
    given = {"workflow": workflow, "worker": worker, "timezone": timezone, "catch_up": catch_up, "overlap": overlap}
    body: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    body.update(name=name, cron=cron, replace=replace)
    body["with"] = {} if inputs is None else inputs
    if jitter is not None:
        body["jitter_ms"] = ms(jitter)
    return Call("POST", "/api/v1/schedules", _raw, body)


def gate_schedule(name: str, word: str, reason: str | None = None) -> Call[Raw]:
    return Call("POST", f"/api/v1/schedules/{_part(name)}/{word}", _raw, _reason(reason))


def fire_schedule(name: str) -> Call[Raw]:
    return Call("POST", f"/api/v1/schedules/{_part(name)}/fire", _raw)


def next_fires(name: str, count: int | None) -> Call[Sequence[str]]:
    path = f"/api/v1/schedules/{_part(name)}/next"
    return Call("GET", path, lambda raw: list(raw["times"]), query=_query(count=count))


def delete_schedule(name: str) -> Call[Raw]:
    return Call("DELETE", f"/api/v1/schedules/{_part(name)}", _raw)


def run_events(id: str) -> Call[None]:
    return Call("GET", f"/api/v1/runs/{_part(id)}/events", lambda _: None)


def all_events() -> Call[None]:
    return Call("GET", "/api/v1/events", lambda _: None)


def _reason(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}
