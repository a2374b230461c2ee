"""Submits that travel together: what is ready while a request is under way goes with the next.

A request of several tasks is all or none. When it is refused none was made, and its halves are sent apart, so that each
task has its own answer.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import _calls as calls
from ._http import ConnectError, TransportError
from ._wire import Call, encode
from .errors import KapelleError, Problem, Unreachable
from .model import Json, NewTask, SubmitOptions

Raw = Mapping[str, Any]
Tried = Callable[[Exception | None], None]

SMALL = 32 * 1024
"""Bytes of a task that travels with others. A larger one must not make them wait."""
_MOST = 500
"""Tasks of one request."""
_BYTES = 1024 * 1024
"""Bytes of one request of several tasks."""
_OWN = frozenset({400, 403, 404, 409, 413, 422})
"""Statuses of refusals that may be due to one task. Others are due to the server or the token, and hold for each;
so does 429, which was waited for already."""


@dataclass(frozen=True)
class Packed:
    """A task as it travels."""

    body: bytes
    delayed: bool
    alone: bool
    """It has a request of its own."""
    key: str | None
    """The idempotency key of the caller."""


def packed(worker: str, input: Json, key: str | None, options: SubmitOptions) -> Packed:
    """Makes what travels of a task and its options."""
    wire = NewTask(worker, input, **options).wire()
    body = encode(wire)
    # Tasks of one group count for each other in a common request.
    alone = key is not None or "key" in wire or len(body) > SMALL
    return Packed(body, "delay_ms" in wire, alone, key)


@dataclass(frozen=True)
class Submitted:
    """The answer to a submit, and the stream that tells of the task's end."""

    raw: Raw
    stream: str


class Waiting:
    """A task that waits for its answer."""

    def __init__(self, body: bytes, delayed: bool) -> None:
        self.body = body
        self.delayed = delayed
        self.raw: Raw | None = None
        self.error: Exception | None = None
        self.stream = ""

    @property
    def settled(self) -> bool:
        return self.raw is not None or self.error is not None

    def settle(self, raw: Raw | None, error: Exception | None) -> None:
        """Takes the answer, or the error."""
        self.raw, self.error = raw, error

    def answer(self) -> Raw:
        """Returns the answer, or raises the error."""
        if self.error is not None:
            raise self.error
        assert self.raw is not None
        return self.raw


class Parcel:
    """Tasks of one request. Its key stays its own, so that sending it again makes nothing twice."""

    def __init__(self, tasks: Sequence[Waiting], stream: str = "") -> None:
        self.tasks = tasks
        self.lost = False
        """An answer was lost: the tasks may have been made."""
        self.stream = stream
        """The stream that tells of the ends of the tasks."""
        bodies = [task.body for task in tasks]
        self.call: Call[Sequence[Raw]]
        if len(tasks) == 1:
            self.call = calls.submit_one(bodies[0], stream=stream)
        else:
            self.call = calls.submit_several(bodies, [task.delayed for task in tasks], stream)

    def tried(self, error: Exception | None) -> None:
        """Notes what came of a try."""
        if isinstance(error, TransportError) and not isinstance(error, ConnectError):
            self.lost = True

    def made(self, answers: Sequence[Raw]) -> None:
        """Hands out the answers."""
        for task, raw in zip(self.tasks, answers):
            task.stream = self.stream
            task.settle(raw, None)

    def refused(self, error: Exception) -> list[Parcel]:
        """Hands out the error, or returns the halves to send instead."""
        if len(self.tasks) > 1 and isinstance(error, Problem):
            if self.lost:
                # A refusal after a lost answer does not say that nothing was made.
                what = "the answer to a submit was lost, and the repeated request was refused; the task may have been made"
                error = Unreachable(f"{what}: {error}")
            elif error.status in _OWN:
                half = len(self.tasks) // 2
                return [Parcel(self.tasks[:half], self.stream), Parcel(self.tasks[half:], self.stream)]
        for task in self.tasks:
            task.settle(None, _alike(error) if len(self.tasks) > 1 else error)
        return []


def _alike(error: Exception) -> Exception:
    """Returns an exception of its own for each caller, since raising one changes it."""
    if isinstance(error, Problem):
        given = (error.status, error.code, error.detail, error.title, error.retry_after)
        return type(error)(*given, error.errors, error.errors_total)
    return type(error)(str(error)) if isinstance(error, KapelleError) else error


def _pick(waiting: deque[Any]) -> list[Any]:
    """Takes what one request carries."""
    picked: list[Any] = []
    size = 0
    while waiting and len(picked) < _MOST:
        size += len(waiting[0].body)
        if picked and size > _BYTES:
            break
        picked.append(waiting.popleft())
    return picked


# -- threads ---------------------------------------------------------------------------------------------------------


class _Thread(Waiting):
    """A task whose thread waits: for its answer, or for becoming the one that sends."""

    def __init__(self, body: bytes, delayed: bool) -> None:
        super().__init__(body, delayed)
        self._changed = threading.Event()
        self.parcels: list[Parcel] = []
        """What its thread is to send."""
        self.leads = False
        """Its thread frees the way for the next request."""
        self.gone = False
        """Its thread was interrupted, and waits no more."""

    def settle(self, raw: Raw | None, error: Exception | None) -> None:
        super().settle(raw, error)
        self._changed.set()

    def send(self, parcels: list[Parcel], leads: bool) -> None:
        """Has its thread send."""
        self.parcels, self.leads = parcels, leads
        self._changed.set()

    def wait(self) -> None:
        self._changed.wait()


class Ask(Protocol):
    """The request of a client."""

    def __call__(self, call: Call[Sequence[Raw]], patience: float | None = None, tried: Tried | None = None) -> Any: ...


class Submitter:
    """Submits of threads. One of those that wait sends for all; nobody waits for a timer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Thread] = deque()
        self._busy = False
        self._process = os.getpid()

    def submit(self, body: bytes, delayed: bool) -> Raw:
        """Submits a task that has no idempotency key of its own."""
        if self._process != os.getpid():
            # The threads of the process that this one was forked from are not here.
            self._begin()
        mine = _Thread(body, delayed)
        with self._lock:
            queued, self._busy = self._busy, True
            if queued:
                self._waiting.append(mine)
        if not queued:
            mine.send([Parcel([mine])], True)
        try:
            mine.wait()
        except BaseException:
            self._interrupted(mine)
            raise
        if mine.parcels:
            self._send(mine)
        return mine.answer()

    def _send(self, mine: _Thread) -> None:
        def tried(error: Exception | None) -> None:
            parcels[-1].tried(error)
            self._free(mine)

        parcels = mine.parcels
        try:
            while parcels:
                try:
                    answers = self._ask(parcels[-1].call, None, tried)
                except Exception as error:
                    halves = parcels[-1].refused(error)
                else:
                    parcels[-1].made(answers)
                    halves = []
                parcels.pop()
                parcels.extend(reversed(halves))
        except BaseException:
            self._interrupted(mine)
            raise
        self._free(mine)

    def _free(self, mine: _Thread) -> None:
        """Lets the next request begin, after the first try: later ones must not make other tasks wait."""
        if not mine.leads:
            return
        mine.leads = False
        with self._lock:
            picked = _pick(self._waiting)
            self._busy = bool(picked)
            if picked:
                picked[0].send([Parcel(picked)], True)

    def _interrupted(self, mine: _Thread) -> None:
        """Ctrl-C in the thread that sends, or waits: another thread goes on for the rest, with the same keys."""
        with self._lock:
            mine.gone = True
            if mine in self._waiting:
                self._waiting.remove(mine)
            for task in (task for parcel in mine.parcels for task in parcel.tasks):
                if isinstance(task, _Thread) and not task.gone and not task.settled:
                    leads, mine.leads = mine.leads, False
                    task.send(mine.parcels, leads)
                    return
        self._free(mine)


# -- asyncio ---------------------------------------------------------------------------------------------------------


class _Future(Waiting):
    """A task whose coroutine waits for its answer."""

    def __init__(self, body: bytes, delayed: bool) -> None:
        super().__init__(body, delayed)
        self.future: asyncio.Future[None] | None = None

    def settle(self, raw: Raw | None, error: Exception | None) -> None:
        super().settle(raw, error)
        if self.future and not self.future.done():
            self.future.set_result(None)


class AsyncAsk(Protocol):
    """The request of a client."""

    def __call__(
        self, call: Call[Sequence[Raw]], patience: float | None = None, tried: Tried | None = None
    ) -> Awaitable[Any]: ...


Stream = Callable[[], Awaitable[str]]
"""Opens the stream of results. Returns its id."""


class _Lane:
    """The submits of one event loop."""

    def __init__(self, ask: AsyncAsk, stream: Stream | None, loop: asyncio.AbstractEventLoop) -> None:
        self._ask = ask
        self._stream = stream
        self._loop = weakref.ref(loop)
        self._waiting: deque[_Future] = deque()
        self._busy = False
        self._sending: set[asyncio.Task[None]] = set()

    async def submit(self, body: bytes, delayed: bool) -> Submitted:
        mine = _Future(body, delayed)
        if not self._busy:
            self._busy = True
            await self._send([mine])
            return Submitted(mine.answer(), mine.stream)
        mine.future = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        await mine.future
        return Submitted(mine.answer(), mine.stream)

    def _next(self) -> None:
        picked: list[_Future] = []
        while not picked and self._waiting:
            # Those whose callers were cancelled are not sent.
            picked = [task for task in _pick(self._waiting) if task.future and not task.future.done()]
        self._busy = bool(picked)
        if picked:
            sending = asyncio.ensure_future(self._send(picked))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send(self, tasks: Sequence[_Future]) -> None:
        leads = True

        def free() -> None:
            nonlocal leads
            loop = self._loop()
            if leads and loop:
                leads = False
                # Once those who were answered have gone on, so that what they submit goes along.
                loop.call_soon(self._next)

        def tried(error: Exception | None) -> None:
            parcels[-1].tried(error)
            if error:
                # Later tries must not make other tasks wait.
                free()

        parcels: list[Parcel] = []
        try:
            parcels.append(Parcel(tasks, await self._stream() if self._stream else ""))
            while parcels:
                try:
                    answers = await self._ask(parcels[-1].call, None, tried)
                except Exception as error:
                    halves = parcels[-1].refused(error)
                else:
                    parcels[-1].made(answers)
                    halves = []
                parcels.pop()
                parcels.extend(reversed(halves))
        finally:
            free()


class AsyncSubmitter:
    """Submits of coroutines. Each event loop has requests of its own.

    With `stream` the ends of the tasks are told on that stream.
    """

    def __init__(self, ask: AsyncAsk, stream: Stream | None = None) -> None:
        self._ask = ask
        self._stream = stream
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = weakref.WeakKeyDictionary()

    async def submit(self, body: bytes, delayed: bool) -> Submitted:
        """Submits a task that has no idempotency key of its own."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = self._lanes[loop] = _Lane(self._ask, self._stream, loop)
        return await lane.submit(body, delayed)
