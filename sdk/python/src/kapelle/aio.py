"""The client for programs with asyncio: the methods of `client`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from . import _calls as calls
from ._http import AsyncPool, Response, TransportError
from ._place import find
from ._sse import Frame, Parser
from ._stream import AllStream, RunStream
from ._wire import LONGEST_POLL, PATIENCE, Again, Call, read, refused, unreachable
from .errors import Problem, WaitTimeout
from .model import Event, Journal, Json, NewTask, Page, Retry, Run, RunPage, Task

T = TypeVar("T")
_SILENCE = 45.0
"""Seconds without data after which a stream counts as dead; the server sends a comment every 15."""
_EARLY = 0.2
"""Seconds before the next poll when an answer came earlier than requested."""
_REST = 0.1
"""Seconds between the end of a stream and the next, as during a shutdown of the server."""


class _Asker:
    """Sends requests, and retries where that is harmless."""

    def __init__(self, url: str | None, token: str | None, retry_for: float) -> None:
        place = find(url, token)
        self.url = place.url
        self.retry_for = retry_for
        # A proxy is of no use on the way to this very machine.
        self.http = AsyncPool(place.url, place.token, proxies=not place.local)

    async def ask(self, call: Call[T], patience: float | None = None) -> T:
        again = Again(self.retry_for if patience is None else patience, time.monotonic)
        target, headers, content = call.target(), call.headers(), call.content()
        while True:
            try:
                response = await self.http.request(call.method, target, headers, content, call.timeout())
                return read(self.url, call, response)
            except (TransportError, Problem) as error:
                pause = again.after(call, error)
                if pause is None:
                    if isinstance(error, Problem):
                        raise
                    # The trace of the underlying libraries would hide the message.
                    raise unreachable(self.url, error) from None
            await asyncio.sleep(pause)

    def patience(self, left: float | None) -> float:
        """Returns the time for which a wait continues without the server."""
        if self.retry_for == 0:
            return 0
        return PATIENCE if left is None else min(PATIENCE, left)

    async def wait(
        self, what: str, call: Callable[[float], Call[T]], ended: Callable[[T], bool], timeout: float | None
    ) -> T:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(until - time.monotonic(), 0.0)
            poll = LONGEST_POLL if left is None else min(LONGEST_POLL, left)
            asked = time.monotonic()
            found = await self.ask(call(poll), self.patience(left))
            if ended(found):
                return found
            if until is not None and time.monotonic() >= until:
                raise WaitTimeout(f"{what} has not ended within {timeout:g} s; it goes on")
            if time.monotonic() - asked < poll / 2:
                # A server that shuts down does not wait.
                await asyncio.sleep(_EARLY)

    async def frames(
        self, call: Call[None], headers: Callable[[], Mapping[str, str]], again: Again
    ) -> AsyncIterator[Frame | None]:
        """Events until the stream ends; None says that it was interrupted and is to be looked at anew."""
        stream = self.http.stream(call.method, call.target(), headers(), _SILENCE)
        try:
            refusal: Response | None = None
            parser = Parser()
            async for part in stream:
                if isinstance(part, Response):
                    refusal = None if part.ok else part
                elif refusal:
                    refusal = replace(refusal, body=refusal.body + part)
                else:
                    for frame in parser.feed(part):
                        yield frame
            if refusal:
                raise refused(self.url, refusal)
        except (TransportError, Problem) as error:
            pause = again.after(call, error)
            if pause is None:
                if isinstance(error, Problem):
                    raise
                # The trace of the underlying libraries would hide the message.
                raise unreachable(self.url, error) from None
            await asyncio.sleep(pause)
        finally:
            await stream.aclose()
        yield None


class AsyncTasks:
    """Tasks: one piece of work for a worker each, durable once submitted."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def submit(
        self,
        worker: str,
        input: Json = None,
        *,
        queue: str | None = None,
        priority: int = 0,
        delay: float = 0,
        deadline: datetime | None = None,
        ttl: float | None = None,
        timeout: float | None = None,
        group: str | None = None,
        retry: Retry | None = None,
        max_cost_nanousd: int | None = None,
        requires: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Task:
        """Submits a task. Once this returns, the task survives a crash. The fields are those of `NewTask`.

        Without an `idempotency_key` one is made up, so that asking again after a broken connection never makes two.
        """
        task = NewTask(
            worker, input, queue, priority, delay, deadline, ttl, timeout, group, retry, max_cost_nanousd, requires
        )
        return await self._asker.ask(calls.submit(task, idempotency_key))

    async def submit_batch(self, tasks: Sequence[NewTask], *, idempotency_key: str | None = None) -> Sequence[str]:
        """Submits up to 10,000 tasks, all or none. Returns their ids in the order of the tasks."""
        return await self._asker.ask(calls.submit_batch(tasks, idempotency_key))

    async def get(self, id: str) -> Task:
        """A task and its state."""
        return await self._asker.ask(calls.task(id))

    async def wait(self, id: str, timeout: float | None = None) -> Task:
        """Waits for the end of a task, also through a restart of the server. Raises WaitTimeout after that long."""
        return await self._asker.wait(id, lambda poll: calls.task(id, poll), lambda task: task.ended, timeout)

    async def list(self, **filters: Any) -> Page:
        """Lists tasks, newest first: `state`, `queue`, `worker`, `dead`, `steps`, `limit`, `cursor`."""
        return await self._asker.ask(calls.tasks(filters))

    async def cancel(self, id: str, reason: str | None = None) -> Task:
        """Cancels a task. Raises Conflict when it has ended already."""
        return await self._asker.ask(calls.cancel_task(id, reason))

    async def retry(self, id: str) -> Task:
        """Retries a failed task."""
        return await self._asker.ask(calls.retry_task(id))


class AsyncRuns:
    """Runs of workflows."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def start(
        self,
        workflow: str | None = None,
        inputs: Json = None,
        *,
        source: str | None = None,
        version: int | None = None,
        strategy: str | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Starts a run of a workflow by its name, or of the text of one (`source`, YAML or JSON)."""
        return await self._asker.ask(calls.start(workflow, source, inputs, version, strategy, idempotency_key))

    async def get(self, id: str) -> Run:
        """A run and its state."""
        return await self._asker.ask(calls.run(id))

    async def wait(self, id: str, timeout: float | None = None) -> Run:
        """Waits for the end of a run, also through a restart of the server. Raises WaitTimeout after that long."""
        return await self._asker.wait(id, lambda poll: calls.run(id, poll), lambda run: run.ended, timeout)

    async def list(self, **filters: Any) -> RunPage:
        """Lists runs, newest first: `workflow`, `open`, `limit`, `cursor`."""
        return await self._asker.ask(calls.runs(filters))

    async def steps(self, id: str, limit: int | None = None, cursor: str | None = None) -> Page:
        """Lists the steps that have begun or were skipped."""
        return await self._asker.ask(calls.steps(id, limit, cursor))

    async def journal(self, id: str, start: int = 0, limit: int | None = None) -> Journal:
        """Returns the journal from an entry on."""
        return await self._asker.ask(calls.journal(id, start, limit))

    async def cancel(self, id: str, reason: str | None = None) -> Run:
        """Cancels a run."""
        return await self._asker.ask(calls.cancel_run(id, reason))

    async def pause(self, id: str) -> Run:
        """Pauses a run: further steps do not begin."""
        return await self._asker.ask(calls.pause_run(id))

    async def resume(self, id: str) -> Run:
        """Resumes a paused run."""
        return await self._asker.ask(calls.resume_run(id))

    async def signal(self, id: str, name: str, payload: Json = None) -> Run:
        """Sends a signal. An early signal is stored until its step waits."""
        return await self._asker.ask(calls.signal_run(id, name, payload))

    async def rerun(self, id: str, step: str | None = None, *, recorded: bool = False) -> Run:
        """Runs an ended run again with earlier results: from a step on, or what did not succeed.

        With `recorded` steps are done again with the answers of models that were recorded then, for nothing.
        """
        return await self._asker.ask(calls.rerun(id, step, recorded))

    async def events(self, id: str, after: int | None = None) -> AsyncIterator[Event]:
        """Follows a run until it has ended: each entry of its journal once, in order, also through interruptions and a
        restart of the server. `after` is the number of the last known event."""
        place = RunStream(after)
        again = Again(self._asker.patience(None), time.monotonic)
        while True:
            async for frame in self._asker.frames(calls.run_events(id), place.headers, again):
                event = None if frame is None else place.take(frame)
                if event:
                    again = Again(self._asker.patience(None), time.monotonic)
                    yield event
            if place.over(await self._asker.ask(calls.run(id), self._asker.patience(None))):
                return
            await asyncio.sleep(_REST)


class AsyncApprovals:
    """Steps that wait for a person."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """Lists waiting steps, oldest first."""
        return await self._asker.ask(calls.approvals())

    async def approve(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Approves. `by` is recorded as the given name, beside the key that acts."""
        return await self._asker.ask(calls.answer(id, "approve", comment, by))

    async def deny(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Denies. `by` is recorded as the given name, beside the key that acts."""
        return await self._asker.ask(calls.answer(id, "deny", comment, by))


class AsyncWorkers:
    """Workers that tasks can be submitted for."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """Lists the workers with their specification."""
        return await self._asker.ask(calls.workers())

    async def status(self) -> Mapping[str, Any]:
        """Returns the state of workers and worker hosts."""
        return await self._asker.ask(calls.workers_status())


class AsyncDead:
    """Dead letters: failed tasks outside of runs that were neither retried nor discarded."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def list(self, **filters: Any) -> Page:
        """Lists them, newest first: `queue`, `worker`, `limit`, `cursor`."""
        return await self._asker.ask(calls.dead(filters))

    async def retry(self, id: str) -> Task:
        """Retries one, with its counts at zero."""
        return await self._asker.ask(calls.retry_dead(id))

    async def discard(self, id: str, reason: str | None = None) -> Task:
        """Marks one as dealt with."""
        return await self._asker.ask(calls.discard_dead(id, reason))


class AsyncFiles:
    """Files, which inputs refer to instead of holding them."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def give(self, data: bytes, name: str, media_type: str = "application/octet-stream") -> Mapping[str, Any]:
        """Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file."""
        return await self._asker.ask(calls.give_file(data, name, media_type))

    async def get(self, file: Mapping[str, Any] | str) -> bytes:
        """Downloads an uploaded file, by the result of `give` or by its `sha256:...`."""
        return await self._asker.ask(calls.file(file))


class AsyncQueues:
    """Queues."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    async def list(self) -> Sequence[Mapping[str, Any]]:
        """Lists the queues with counts and warnings."""
        return await self._asker.ask(calls.queues())

    async def pause(self, name: str) -> None:
        """Pauses it: further tasks do not start."""
        await self._asker.ask(calls.gate_queue(name, "pause"))

    async def resume(self, name: str) -> None:
        """Resumes it."""
        await self._asker.ask(calls.gate_queue(name, "resume"))


class AsyncClient:
    """A client of a server, for asyncio.

    `url` is by default KAPELLE_URL or http://127.0.0.1:7863; `token` KAPELLE_TOKEN or, for a server on this machine, the
    one of the project's folder. A server that cannot be reached is tried for `retry_for` seconds. `close`
    or `async with` ends its connections.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, retry_for: float = 5.0) -> None:
        self._asker = _Asker(url, token, retry_for)
        self.tasks = AsyncTasks(self._asker)
        self.runs = AsyncRuns(self._asker)
        self.approvals = AsyncApprovals(self._asker)
        self.workers = AsyncWorkers(self._asker)
        self.queues = AsyncQueues(self._asker)
        self.dead = AsyncDead(self._asker)
        self.files = AsyncFiles(self._asker)

    @property
    def url(self) -> str:
        """Returns the address of the server."""
        return self._asker.url

    async def health(self) -> Mapping[str, Any]:
        """Returns the health of the server."""
        return await self._asker.ask(calls.health())

    async def events(self, cursor: str | None = None) -> AsyncIterator[Event]:
        """Yields all events from now on, or after a cursor, without end. An event of kind `resync` says that events were
        missed: read the state again."""
        place = AllStream(cursor)
        again = Again(self._asker.patience(None), time.monotonic)
        while True:
            async for frame in self._asker.frames(calls.all_events(), place.headers, again):
                if frame:
                    again = Again(self._asker.patience(None), time.monotonic)
                    yield place.take(frame)
            await asyncio.sleep(_REST)

    async def close(self) -> None:
        """Ends its connections."""
        await self._asker.http.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
