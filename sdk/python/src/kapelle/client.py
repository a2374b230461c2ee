"""The client for programs without asyncio. `aio` has the one for programs with it."""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from . import _calls as calls
from . import _ends
from ._http import Pool, Response, TransportError
from ._lines import NoStream
from ._options import known, known_fields
from ._place import find
from ._sse import Frame, Parser
from ._stream import AllStream, RunStream
from ._submitter import SMALL, Raw, Submitter, Tried
from ._wire import LONGEST_POLL, PATIENCE, Again, Call, encode, read, refused, unreachable
from .errors import Problem, WaitTimeout
from .model import (
    Event,
    Journal,
    Json,
    NewTask,
    Page,
    Part,
    Retry,
    Run,
    Seconds,
    Task,
    id_of,
    seconds,
)

T = TypeVar("T")
E = TypeVar("E", Task, Run)
_SILENCE = 45.0
"""Seconds without data after which a stream counts as dead; the server sends a comment every 15."""
_EARLY = 0.2
"""Seconds before asking again when an answer came earlier than asked for."""
_WAITS = 16
"""Threads that wait for many tasks or runs at once."""
_TURN = 0.5
"""Seconds of a wait while others wait for their turn."""
_LAST_TURN = 2.0
"""Seconds of a wait while nothing else waits."""
_REST = 0.1
"""Seconds between the end of a stream and the next, as during a shutdown of the server."""


class _Asker:
    """Sends requests, and retries where that is harmless."""

    def __init__(self, url: str | None, token: str | None, retry_for: float) -> None:
        place = find(url, token)
        self.url = place.url
        self.retry_for = retry_for
        # A proxy is of no use on the way to this very machine.
        self.http = Pool(place.url, place.token, proxies=not place.local)

    def ask(self, call: Call[T], patience: float | None = None, tried: Tried | None = None) -> T:
        """`tried` is called after each try, with its error."""
        again = Again(self.retry_for if patience is None else patience, time.monotonic)
        target, headers, content = call.target(), call.headers(), call.content()
        while True:
            try:
                response = self.http.request(call.method, target, headers, content, call.timeout())
                answer = read(self.url, call, response)
                if tried:
                    tried(None)
                return answer
            except (TransportError, Problem) as error:
                if tried:
                    tried(error)
                pause = again.after(call, error)
                if pause is None:
                    if isinstance(error, Problem):
                        raise
                    # The trace of the underlying libraries would hide the message.
                    raise unreachable(self.url, error) from None
            time.sleep(pause)

    def patience(self, left: float | None) -> float:
        """Returns the time for which a wait continues without the server."""
        if self.retry_for == 0:
            return 0
        return PATIENCE if left is None else min(PATIENCE, left)

    def wait(
        self, what: str, call: Callable[[float], Call[E]], timeout: Seconds | None, until: float | None = None
    ) -> E:
        """Waits for an end. `until` is when it was to come, by the monotonic clock, if waiting began earlier."""
        if until is None and timeout is not None:
            until = time.monotonic() + seconds(timeout)
        while True:
            found = self.poll(call, LONGEST_POLL, until)
            if found.ended:
                return found
            if until is not None and timeout is not None and time.monotonic() >= until:
                raise WaitTimeout(f"{what} has not ended within {seconds(timeout):g} s; it goes on")

    def poll(self, call: Callable[[float], Call[E]], most: float, until: float | None) -> E:
        """Sends one request that waits, no longer than `until`."""
        asked = time.monotonic()
        left = None if until is None else max(until - asked, 0.0)
        poll = most if left is None else min(most, left)
        found = self.ask(call(poll), self.patience(left))
        if not found.ended and time.monotonic() - asked < poll / 2:
            # A server on its way down does not wait.
            time.sleep(_EARLY)
        return found

    def each(self, ids: Sequence[str], call: Callable[[str, float], Call[E]], timeout: Seconds | None) -> Iterator[E]:
        """Waits for many ends, and yields each as it comes. A bounded number of threads wait; more ids take turns."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        waiting = collections.deque(ids)
        ended: queue.SimpleQueue[E | BaseException] = queue.SimpleQueue()
        over = threading.Event()

        def work() -> None:
            try:
                while not over.is_set():
                    try:
                        id = waiting.popleft()
                    except IndexError:
                        return
                    found = self.poll(partial(call, id), _TURN if waiting else _LAST_TURN, until)
                    if found.ended:
                        ended.put(found)
                    elif until is not None and timeout is not None and time.monotonic() >= until:
                        raise WaitTimeout(f"{id} has not ended within {seconds(timeout):g} s; it goes on")
                    else:
                        waiting.append(id)
            except BaseException as error:
                ended.put(error)

        try:
            for _ in range(min(_WAITS, len(ids))):
                threading.Thread(target=work, name="kapelle-wait", daemon=True).start()
            for _ in ids:
                found = ended.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            over.set()

    def frames(
        self, call: Call[None], headers: Callable[[], Mapping[str, str]], again: Again
    ) -> Iterator[Frame | None]:
        """Events until the stream ends; None says that it was interrupted and is to be looked at anew."""
        stream = self.http.stream(call.method, call.target(), headers(), _SILENCE)
        try:
            refusal: Response | None = None
            parser = Parser()
            for part in stream:
                if isinstance(part, Response):
                    refusal = None if part.ok else part
                elif refusal:
                    refusal = replace(refusal, body=refusal.body + part)
                else:
                    yield from parser.feed(part)
            if refusal:
                raise refused(self.url, refusal)
        except (TransportError, Problem) as error:
            pause = again.after(call, error)
            if pause is None:
                if isinstance(error, Problem):
                    raise
                # The trace of the underlying libraries would hide the message.
                raise unreachable(self.url, error) from None
            time.sleep(pause)
        finally:
            stream.close()
        yield None


def _pages(asker: _Asker, call: Callable[[str | None], Call[Part[T]]], cursor: str | None = None) -> Page[T]:
    """Asks for a page that knows the way to the next."""
    part = asker.ask(call(cursor))
    return Page(part.items, part.next_cursor, lambda following: _pages(asker, call, following))


class Tasks:
    """Tasks: one piece of work for a worker each, durable once submitted."""

    def __init__(self, asker: _Asker, long_poll: bool) -> None:
        self._asker = asker
        self._long_poll = long_poll
        self._submitter = Submitter(asker.ask)

    @known("tasks.submit")
    def submit(
        self,
        worker: str,
        input: Json = None,
        *,
        queue: str | None = None,
        priority: int = 0,
        delay: Seconds = 0,
        deadline: datetime | str | None = None,
        ttl: Seconds | None = None,
        timeout: Seconds | None = None,
        group: str | None = None,
        retry: Retry | Mapping[str, Any] | int | None = None,
        max_cost_nanousd: int | None = None,
        requires: str | Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Task:
        """Submits a task. Once this returns, the task survives a crash. The fields are those of `NewTask`.

        Without an `idempotency_key` one is made up, so that asking again after a broken connection never makes two.
        Submits while a request is under way travel in the next, each with its own answer.
        """
        task = NewTask(
            worker, input, queue, priority, delay, deadline, ttl, timeout, group, retry, max_cost_nanousd, requires
        )
        wire = task.wire()
        body = encode(wire)
        # Tasks of one group count for each other in a common request.
        if idempotency_key is not None or group is not None or len(body) > SMALL:
            raw: Raw = (self._asker.ask(calls.submit_one(body, idempotency_key)))[0]
        else:
            raw = self._submitter.submit(body, "delay_ms" in wire)
        return Task.read(raw, worker, queue or "")

    @known("run")
    def run(
        self,
        worker: str,
        input: Json = None,
        *,
        wait_timeout: Seconds | None = None,
        queue: str | None = None,
        priority: int = 0,
        delay: Seconds = 0,
        deadline: datetime | str | None = None,
        ttl: Seconds | None = None,
        timeout: Seconds | None = None,
        group: str | None = None,
        retry: Retry | Mapping[str, Any] | int | None = None,
        max_cost_nanousd: int | None = None,
        requires: str | Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Task:
        """Submits a task and waits for its end, in one request where it is the only one. The options are those of `submit`.

        Raises WaitTimeout after `wait_timeout` (seconds): the task goes on.
        """
        task = NewTask(
            worker, input, queue, priority, delay, deadline, ttl, timeout, group, retry, max_cost_nanousd, requires
        )
        return _ends.run(self._asker, encode(task.wire()), idempotency_key, wait_timeout)

    @known("tasks.submit_batch")
    def submit_batch(self, tasks: Sequence[NewTask], *, idempotency_key: str | None = None) -> Sequence[str]:
        """Submits up to 10,000 tasks, all or none. Returns their ids in the order of the tasks."""
        return self._asker.ask(calls.submit_batch(tasks, idempotency_key))

    def get(self, id: str) -> Task:
        """A task and its state."""
        return self._asker.ask(calls.task(id))

    @known("tasks.wait")
    def wait(self, id: str | Task, timeout: Seconds | None = None) -> Task:
        """Waits for the end of a task, also through a restart of the server. Raises WaitTimeout after `timeout`
        (seconds)."""
        name = id_of(id)
        return self._asker.wait(name, lambda poll: calls.task(name, poll), timeout)

    @known("tasks.wait_all")
    def wait_all(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> list[Task]:
        """Waits for the ends of all, and returns them in the order asked for, however they ended. Raises WaitTimeout
        after `timeout` (seconds)."""
        names = [id_of(one) for one in ids]
        found = {task.id: task for task in self.as_completed(names, timeout)}
        return [found[name] for name in names]

    @known("tasks.as_completed")
    def as_completed(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> Iterator[Task]:
        """Each of the tasks once, as it ends. Raises WaitTimeout after `timeout` (seconds)."""
        names = list(dict.fromkeys(map(id_of, ids)))
        left = dict.fromkeys(names)
        try:
            if len(names) > 1 and not self._long_poll:
                for task in _ends.each(self._asker, names, timeout):
                    del left[task.id]
                    yield task
        except NoStream:
            pass
        yield from self._asker.each(list(left), calls.task, timeout)

    @known("tasks.list")
    def list(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        worker: str | None = None,
        dead: bool | None = None,
        steps: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Tasks, newest first: `state`, `queue`, `worker`, `dead`, `steps`, `limit`, `cursor`."""
        given = {"state": state, "queue": queue, "worker": worker, "dead": dead, "steps": steps, "limit": limit}
        return _pages(self._asker, lambda at: calls.tasks({**given, "cursor": at}), cursor)

    def cancel(self, id: str, reason: str | None = None) -> Task:
        """Cancels a task. Raises Conflict when it has ended already."""
        return self._asker.ask(calls.cancel_task(id, reason))

    def retry(self, id: str) -> Task:
        """Retries a failed task."""
        return self._asker.ask(calls.retry_task(id))


class Runs:
    """Runs of workflows."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    @known("runs.start")
    def start(
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
        return self._asker.ask(calls.start(workflow, source, inputs, version, strategy, idempotency_key))

    def get(self, id: str) -> Run:
        """A run and its state."""
        return self._asker.ask(calls.run(id))

    @known("runs.wait")
    def wait(self, id: str | Run, timeout: Seconds | None = None) -> Run:
        """Waits for the end of a run, also through a restart of the server. Raises WaitTimeout after `timeout`
        (seconds)."""
        name = id_of(id)
        return self._asker.wait(name, lambda poll: calls.run(name, poll), timeout)

    @known("runs.wait_all")
    def wait_all(self, ids: Iterable[str | Run], timeout: Seconds | None = None) -> list[Run]:
        """Waits for the ends of all, and returns them in the order asked for, however they ended. Raises WaitTimeout
        after `timeout` (seconds)."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        found = {}
        # One after another: those that ended meanwhile are answered at once.
        for name in dict.fromkeys(map(id_of, names := list(ids))):
            found[name] = self._asker.wait(name, partial(calls.run, name), timeout, until)
        return [found[id_of(one)] for one in names]

    @known("runs.as_completed")
    def as_completed(self, ids: Iterable[str | Run], timeout: Seconds | None = None) -> Iterator[Run]:
        """Each of the runs once, as it ends. Raises WaitTimeout after `timeout` (seconds). Of many runs an end may be
        seen some seconds later than it came."""
        names = list(dict.fromkeys(map(id_of, ids)))
        yield from self._asker.each(names, calls.run, timeout)

    @known("runs.list")
    def list(
        self,
        *,
        workflow: str | None = None,
        open: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Runs, newest first: `workflow`, `open`, `limit`, `cursor`."""
        given = {"workflow": workflow, "open": open, "limit": limit}
        return _pages(self._asker, lambda at: calls.runs({**given, "cursor": at}), cursor)

    @known("runs.steps")
    def steps(
        self,
        id: str,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """The steps that have begun or been left out."""
        given = {"limit": limit}
        return _pages(self._asker, lambda at: calls.steps(id, {**given, "cursor": at}), cursor)

    @known("runs.journal")
    def journal(self, id: str, start: int = 0, limit: int | None = None) -> Journal:
        """Returns the journal of a run, from an entry on."""
        entries, following = self._asker.ask(calls.journal(id, start, limit))
        return Journal(entries, following, lambda cursor: self.journal(id, int(cursor), limit))

    @known("runs.cancel")
    def cancel(self, id: str, reason: str | None = None) -> Run:
        """Cancels a run."""
        return self._asker.ask(calls.cancel_run(id, reason))

    def pause(self, id: str) -> Run:
        """Pauses a run: further steps do not begin."""
        return self._asker.ask(calls.pause_run(id))

    def resume(self, id: str) -> Run:
        """Resumes a paused run."""
        return self._asker.ask(calls.resume_run(id))

    @known("runs.signal")
    def signal(self, id: str, name: str, payload: Json = None) -> Run:
        """Sends a signal. An early signal is stored until its step waits."""
        return self._asker.ask(calls.signal_run(id, name, payload))

    @known("runs.rerun")
    def rerun(self, id: str, step: str | None = None, *, recorded: bool = False) -> Run:
        """Runs an ended run again with earlier results: from a step on, or what did not succeed.

        With `recorded` steps are done again with the answers of models that were recorded then, for nothing.
        """
        return self._asker.ask(calls.rerun(id, step, recorded))

    @known("runs.events")
    def events(self, id: str, after: int | None = None) -> Iterator[Event]:
        """Follows a run until it has ended: each entry of its journal once, in order, also through interruptions and a
        restart of the server. `after` is the number of the last known event."""
        place = RunStream(after)
        again = Again(self._asker.patience(None), time.monotonic)
        while True:
            for frame in self._asker.frames(calls.run_events(id), place.headers, again):
                event = None if frame is None else place.take(frame)
                if event:
                    again = Again(self._asker.patience(None), time.monotonic)
                    yield event
            if place.over(self._asker.ask(calls.run(id), self._asker.patience(None))):
                return
            time.sleep(_REST)


class Approvals:
    """Steps that wait for a person."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Those that wait, oldest first."""
        return _pages(self._asker, lambda _: calls.approvals())

    def approve(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Approves. `by` is recorded as the given name, beside the key that acts."""
        return self._asker.ask(calls.answer(id, "approve", comment, by))

    def deny(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Denies. `by` is recorded as the given name, beside the key that acts."""
        return self._asker.ask(calls.answer(id, "deny", comment, by))


class Workers:
    """Workers that tasks can be submitted for."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Each with what is known of it."""
        return _pages(self._asker, lambda _: calls.workers())

    def status(self) -> Mapping[str, Any]:
        """Returns the state of workers and worker hosts."""
        return self._asker.ask(calls.workers_status())


class Dead:
    """Dead letters: failed tasks outside of runs that were neither retried nor discarded."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    @known("dead.list")
    def list(
        self,
        *,
        queue: str | None = None,
        worker: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Newest first: `queue`, `worker`, `limit`, `cursor`."""
        given = {"queue": queue, "worker": worker, "limit": limit}
        return _pages(self._asker, lambda at: calls.dead({**given, "cursor": at}), cursor)

    def retry(self, id: str) -> Task:
        """Retries one, with its counts at zero."""
        return self._asker.ask(calls.retry_dead(id))

    def discard(self, id: str, reason: str | None = None) -> Task:
        """Marks one as dealt with."""
        return self._asker.ask(calls.discard_dead(id, reason))


class Files:
    """Files, which inputs refer to instead of holding them."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    def give(self, data: bytes, name: str, media_type: str = "application/octet-stream") -> Mapping[str, Any]:
        """Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file."""
        return self._asker.ask(calls.give_file(data, name, media_type))

    def get(self, file: Mapping[str, Any] | str) -> bytes:
        """Downloads an uploaded file, by the result of `give` or by its `sha256:...`."""
        return self._asker.ask(calls.file(file))


class Queues:
    """Queues."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Each with counts and warnings."""
        return _pages(self._asker, lambda _: calls.queues())

    def pause(self, name: str) -> None:
        """Pauses it: further tasks do not start."""
        self._asker.ask(calls.gate_queue(name, "pause"))

    def resume(self, name: str) -> None:
        """Resumes it."""
        self._asker.ask(calls.gate_queue(name, "resume"))


@known_fields
class Client:
    """A client of a server.

    `url` is by default KAPELLE_URL or http://127.0.0.1:7863; `token` KAPELLE_TOKEN or, for a server on this machine, the
    one of the project's folder. A server that cannot be reached is tried for `retry_for` (seconds). With `long_poll`
    every task is asked for that is waited for, instead of a stream for all: for tests and for proxies that break streams.
    It may be shared by threads; `close` or `with` ends its connections.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        retry_for: Seconds = 5.0,
        long_poll: bool = False,
    ) -> None:
        self._asker = _Asker(url, token, seconds(retry_for))
        self.tasks = Tasks(self._asker, long_poll)
        self.run = self.tasks.run
        self.runs = Runs(self._asker)
        self.approvals = Approvals(self._asker)
        self.workers = Workers(self._asker)
        self.queues = Queues(self._asker)
        self.dead = Dead(self._asker)
        self.files = Files(self._asker)

    @property
    def url(self) -> str:
        """Returns the address of the server."""
        return self._asker.url

    def health(self) -> Mapping[str, Any]:
        """Returns the health of the server."""
        return self._asker.ask(calls.health())

    def events(self, cursor: str | None = None) -> Iterator[Event]:
        """Yields all events from now on, or after a cursor, without end. An event of kind `resync` says that events were
        missed: read the state again."""
        place = AllStream(cursor)
        again = Again(self._asker.patience(None), time.monotonic)
        while True:
            for frame in self._asker.frames(calls.all_events(), place.headers, again):
                if frame:
                    again = Again(self._asker.patience(None), time.monotonic)
                    yield place.take(frame)
            time.sleep(_REST)

    def close(self) -> None:
        """Closes its connections."""
        self._asker.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
