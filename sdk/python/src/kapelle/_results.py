"""The ends of tasks over asyncio: one stream tells of all that are waited for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import _calls as calls
from ._http import TransportError
from ._lines import Line, NoStream, async_lines, unknown
from ._wire import Again, unreachable
from .errors import KapelleError, Problem, Unreachable
from .model import Task

if TYPE_CHECKING:
    from ._async_asker import AsyncAsker as Asker

MOST = 10_000
"""Tasks that one stream tells of."""
_LINGER = 4.0
"""Seconds for which a stream without waits stays open."""
_REST = 0.2
"""Seconds before the next stream, after one that ended soon."""


class Results:
    """The stream of an event loop. It is open while tasks are waited for, and a few seconds longer."""

    def __init__(self, asker: Asker, usable: bool) -> None:
        self._asker = asker
        self.usable = usable
        """Whether a stream may be tried at all."""
        self._waits: dict[str, list[asyncio.Future[Task]]] = {}
        # Ends of tasks whose submits are not answered yet.
        self._early: dict[str, Task] = {}
        self._submits = 0
        # Ids that the stream has not been told of, that it tells of, and that it need not tell of any more.
        self._fresh: dict[str, None] = {}
        self._told: set[str] = set()
        self._forgotten: list[str] = []
        self._stream = ""
        self._opened: asyncio.Future[str] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        """Tells whether a stream is open, or being opened."""
        return self._listening is not None

    async def open(self) -> str:
        """Returns the id of the stream, once it is open. Empty when none can be opened."""
        if self._stream or not self.usable:
            return self._stream
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        self._listen()
        return await asyncio.shield(self._opened)

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Ends that come before the answers to their submits are kept."""
        self._submits += 1
        try:
            yield
        finally:
            self._submits -= 1
            if self._submits == 0:
                self._early.clear()

    def submitted(self, stream: str, id: str) -> None:
        """Notes a task that was submitted for a stream. Another one that is open by now must be told of it."""
        if stream and stream == self._stream and id not in self._early:
            self._told.add(id)

    def add(self, id: str) -> asyncio.Future[Task]:
        """Waits for the end of a task. The future raises NoStream when the task must be asked for."""
        wait: asyncio.Future[Task] = asyncio.get_running_loop().create_future()
        early = self._early.pop(id, None)
        if early:
            wait.set_result(early)
        elif not self.usable:
            wait.set_exception(NoStream("there is no stream of results"))
        else:
            self._waits.setdefault(id, []).append(wait)
            if id not in self._told:
                self._fresh[id] = None
            self._listen()
            self._tell()
        return wait

    def drop(self, id: str, wait: asyncio.Future[Task]) -> None:
        """Ends a wait."""
        waits = self._waits.get(id)
        if not waits or wait not in waits:
            return
        waits.remove(wait)
        if not waits:
            del self._waits[id]
            self._fresh.pop(id, None)
            if id in self._told:
                self._told.remove(id)
                self._forgotten.append(id)

    def close(self) -> None:
        """Ends the stream."""
        if self._listening:
            self._listening.cancel()

    def _line(self, line: Line) -> None:
        if "task" in line:
            id = line["task"]["id"]
            self._told.discard(id)
            self._fresh.pop(id, None)
            waits = self._waits.pop(id, None)
            if waits:
                task = Task.read(line["task"])
                for wait in waits:
                    if not wait.done():
                        wait.set_result(task)
            elif self._submits:
                self._early[id] = Task.read(line["task"])
            self._tell()
        elif "stream" in line:
            self._stream = line["stream"]
            self._settle_opened(self._stream)
            self._missing(line)
            self._tell()

    def _settle_opened(self, stream: str) -> None:
        if self._opened and not self._opened.done():
            self._opened.set_result(stream)
        self._opened = None

    def _missing(self, answer: Line) -> None:
        for id in answer.get("missing", ()):
            asyncio.ensure_future(self._refuse(id))

    async def _refuse(self, id: str) -> None:
        """The answer to a request for the task itself says what is wrong."""
        error: Exception = Unreachable(f"{id}: the server does not tell of its end")
        try:
            await self._asker.ask(calls.task(id))
        except KapelleError as refusal:
            error = refusal
        self._fail([id], error)

    def _fail(self, ids: list[str], error: Exception) -> None:
        for id in ids:
            self._told.discard(id)
            self._fresh.pop(id, None)
            for wait in self._waits.pop(id, ()):
                if not wait.done():
                    wait.set_exception(error)
                    # A wait that nobody looks at any more is nothing to tell of.
                    wait.exception()

    def _listen(self) -> None:
        if self._listening is None and self.usable:
            self._listening = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        """Keeps a stream open while somebody waits."""
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(_LINGER, self._look, loop)
        again = Again(self._asker.patience(None), time.monotonic)
        tardy = 0
        try:
            while self._waits or self._opened:
                began = time.monotonic()
                try:
                    self._hearing = asyncio.ensure_future(self._hear())
                    await asyncio.wait({self._hearing})
                    if not self._hearing.cancelled():
                        self._hearing.result()
                    again = Again(self._asker.patience(None), time.monotonic)
                    tardy = 0
                    if self._waits and time.monotonic() - began < 1:
                        await asyncio.sleep(_REST)
                except (KapelleError, TransportError) as error:
                    # A busy server may be late once.
                    if isinstance(error, NoStream) and error.late and tardy == 0:
                        tardy += 1
                        continue
                    pause = None if isinstance(error, NoStream) else again.after(calls.results([]), error)
                    if pause is None:
                        self.usable = self.usable and (not isinstance(error, NoStream) or error.full)
                        told = unreachable(self._asker.url, error) if isinstance(error, TransportError) else error
                        self._fail(list(self._waits), told)
                        return
                    await asyncio.sleep(pause)
        finally:
            self._listening = None
            if self._hearing:
                self._hearing.cancel()
            if self._closing:
                self._closing.cancel()
            self._settle_opened("")

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes a stream that nobody has waited on."""
        if not self._waits and not self._submits and self._hearing:
            self._hearing.cancel()
        self._closing = loop.call_later(_LINGER, self._look, loop)

    async def _hear(self) -> None:
        ids = list(itertools.islice(self._waits, MOST))
        self._told = set(ids)
        self._fresh = dict.fromkeys(itertools.islice(self._waits, MOST, None))
        self._forgotten = []
        try:
            async for line in async_lines(self._asker.url, self._asker.http, calls.results(ids)):
                self._line(line)
        except (Problem, Unreachable) as error:
            if isinstance(error, NoStream):
                raise
            unknown(self._asker.url, error)
        finally:
            self._stream = ""
            self._told.clear()

    def _tell(self) -> None:
        """Tells the open stream of further tasks. What comes meanwhile goes with the next request."""
        if self._telling is None and self._stream and self._fresh:
            self._telling = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        try:
            while self._stream and self._fresh and len(self._told) < MOST:
                stream = self._stream
                ids = list(itertools.islice(self._fresh, MOST - len(self._told)))
                for id in ids:
                    del self._fresh[id]
                self._told.update(ids)
                forget, self._forgotten = self._forgotten, []
                try:
                    self._missing(await self._asker.ask(calls.more_results(stream, ids, forget)))
                except KapelleError:
                    # The next stream begins with all that are waited for.
                    if stream == self._stream and self._hearing:
                        self._hearing.cancel()
                    return
        finally:
            self._telling = None
