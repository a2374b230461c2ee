"""The client for programs with asyncio: the methods of `client`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any

from . import _calls as calls
from ._asking import REST
from ._async_asker import AsyncAsker
from ._async_nouns import AsyncApprovals, AsyncDead, AsyncFiles, AsyncQueues, AsyncWorkers
from ._async_runs import AsyncRuns
from ._async_schedules import AsyncSchedules
from ._async_tasks import AsyncTasks
from ._options import known_fields
from ._stream import AllStream
from ._wire import Again
from .model import Event, Seconds, seconds


@known_fields
class AsyncClient:
    """A client of a server, for asyncio.

    `url` is by default KAPELLE_URL or http://127.0.0.1:7863; `token` KAPELLE_TOKEN or, for a server on this machine, the
    one of the project's folder. A server that cannot be reached is tried for `retry_for` (seconds). With `long_poll`
    every task is asked for that is waited for, instead of a stream for all: for tests and for proxies that break streams.
    `close` or `async with` ends its connections.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        retry_for: Seconds = 5.0,
        long_poll: bool = False,
    ) -> None:
        self._asker = AsyncAsker(url, token, seconds(retry_for))
        self.tasks = AsyncTasks(self._asker, long_poll)
        self.run = self.tasks.run
        self.runs = AsyncRuns(self._asker)
        self.approvals = AsyncApprovals(self._asker)
        self.workers = AsyncWorkers(self._asker)
        self.queues = AsyncQueues(self._asker)
        self.schedules = AsyncSchedules(self._asker)
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
            await asyncio.sleep(REST)

    async def close(self) -> None:
        """Closes its connections."""
        self.tasks._ends.close()
        await self._asker.http.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
