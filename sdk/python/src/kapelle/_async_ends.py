"""Waits for the ends of tasks over asyncio. One alone asks for its task, several share a stream."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, TypeVar

from . import _calls as calls
from ._asking import late
from ._ends import Attempted
from ._lines import NoStream
from ._results import Results
from ._submitter import AsyncSubmitter, Packed, Submitted
from .errors import Unreachable, WaitTimeout
from .model import Seconds, Task, seconds

if TYPE_CHECKING:
    from ._async_asker import AsyncAsker as Asker

T = TypeVar("T")


class Ends:
    """The waits of a client. Each event loop has a stream of its own."""

    def __init__(self, asker: Asker, long_poll: bool) -> None:
        self._asker = asker
        self._usable = not long_poll
        self._streams: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Results] = weakref.WeakKeyDictionary()
        self._submitter = AsyncSubmitter(asker.ask, self._open)
        self._alone = 0
        """Waits that ask for their tasks."""

    @property
    def _results(self) -> Results:
        loop = asyncio.get_running_loop()
        found = self._streams.get(loop)
        if found is None:
            found = self._streams[loop] = Results(self._asker, self._usable)
        return found

    async def _open(self) -> str:
        return await self._results.open()

    async def wait(self, id: str, timeout: Seconds | None) -> Task:
        """Waits for the end of a task."""
        return await (self._shared(id, timeout) if self._shares() else self._ask(self._poll(id, timeout)))

    async def run(self, task: Packed, timeout: Seconds | None) -> Task:
        """Submits a task and waits for its end. Alone it takes one request."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        if task.alone or not self._shares():
            return await self._ask(self._run(task, timeout))
        results = self._results
        with results.submitting():
            made: Submitted = await self._submitter.submit(task.body, task.delayed)
            id = made.raw["id"]
            results.submitted(made.stream, id)
            ended = results.add(id)
        try:
            return await self._within(results, id, ended, timeout, until)
        except NoStream:
            return await self._poll(id, timeout, until)

    async def each(self, ids: Sequence[str], timeout: Seconds | None) -> AsyncIterator[Task]:
        """Yields each task once, as it ends. Raises NoStream, before the first, when tasks must be asked for."""
        results = self._results
        if not results.usable:
            raise NoStream("there is no stream of results")
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        queue: asyncio.Queue[asyncio.Future[Task]] = asyncio.Queue()
        waits = {id: results.add(id) for id in ids}
        for wait in waits.values():
            wait.add_done_callback(queue.put_nowait)
        try:
            for _ in ids:
                try:
                    left = None if until is None else max(until - time.monotonic(), 0)
                    wait = await asyncio.wait_for(queue.get(), left)
                except asyncio.TimeoutError:
                    assert timeout is not None
                    name = next(id for id, wait in waits.items() if not wait.done())
                    raise late(name, timeout) from None
                yield wait.result()
        finally:
            for id, wait in waits.items():
                if not wait.done():
                    results.drop(id, wait)

    def close(self) -> None:
        """Ends the stream of this event loop."""
        self._results.close()

    def _shares(self) -> bool:
        """A stream pays from the second wait on."""
        results = self._results
        return results.usable and (self._alone > 0 or results.active)

    async def _ask(self, ask: Awaitable[T]) -> T:
        self._alone += 1
        try:
            return await ask
        finally:
            self._alone -= 1

    async def _poll(self, id: str, timeout: Seconds | None, until: float | None = None) -> Task:
        return await self._asker.wait(id, lambda poll: calls.task(id, poll), timeout, until)

    async def _shared(self, id: str, timeout: Seconds | None) -> Task:
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        results = self._results
        try:
            return await self._within(results, id, results.add(id), timeout, until)
        except NoStream:
            return await self._poll(id, timeout, until)

    async def _within(
        self, results: Results, id: str, wait: asyncio.Future[Task], timeout: Seconds | None, until: float | None
    ) -> Task:
        try:
            if until is None:
                return await wait
            return await asyncio.wait_for(wait, max(until - time.monotonic(), 0))
        except asyncio.TimeoutError as error:
            if isinstance(error, WaitTimeout):
                raise
            assert timeout is not None
            raise late(id, timeout) from None
        finally:
            results.drop(id, wait)

    async def _run(self, task: Packed, timeout: Seconds | None) -> Task:
        attempted = Attempted(task, timeout)
        try:
            found = await self._asker.ask(attempted.call, None, attempted.tried)
        except Unreachable:
            # The task may have been submitted; then its end is waited for as long as for any other.
            if not attempted.lost:
                raise
            found = await self._asker.ask(attempted.call, self._asker.patience(attempted.within))
        return found if found.ended else await self._poll(found.id, timeout, attempted.until)
