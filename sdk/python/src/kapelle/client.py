"""The client for programs without asyncio. `aio` has the one for programs with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from . import _calls as calls
from ._asker import Asker
from ._asking import REST
from ._nouns import Approvals, Dead, Files, Queues, Workers
from ._runs import Runs
from ._schedules import Schedules
from ._tasks import Tasks
from ._options import known_fields
from ._stream import AllStream
from ._wire import Again
from .model import Event, Seconds, seconds


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
        self._asker = Asker(url, token, seconds(retry_for))
        self.tasks = Tasks(self._asker, long_poll)
        self.run = self.tasks.run
        self.runs = Runs(self._asker)
        self.approvals = Approvals(self._asker)
        self.workers = Workers(self._asker)
        self.queues = Queues(self._asker)
        self.schedules = Schedules(self._asker)
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
            time.sleep(REST)

    def close(self) -> None:
        """Closes its connections."""
        self._asker.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
