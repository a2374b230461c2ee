"""Runs of workflows, for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, AsyncIterator, Mapping
from functools import partial
from typing import Any

from . import _calls as calls
from ._async_asker import AsyncAsker, pages
from ._asking import REST
from ._options import known
from ._stream import RunStream
from ._wire import Again
from .model import AsyncJournal, AsyncPage, Event, Json, Run, Seconds, Task, id_of, seconds


class AsyncRuns:
    """Runs of workflows."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    @known("runs.start")
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

    @known("runs.wait")
    async def wait(self, id: str | Run, timeout: Seconds | None = None) -> Run:
        """Waits for the end of a run, also through a restart of the server. Raises WaitTimeout after `timeout`
        (seconds)."""
        name = id_of(id)
        return await self._asker.wait(name, lambda poll: calls.run(name, poll), timeout)

    @known("runs.wait_all")
    async def wait_all(self, ids: Iterable[str | Run], timeout: Seconds | None = None) -> list[Run]:
        """Waits for the ends of all, and returns them in the order asked for, however they ended. Raises WaitTimeout
        after `timeout` (seconds)."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        found = {}
        # One after another: those that ended meanwhile are answered at once.
        for name in dict.fromkeys(map(id_of, names := list(ids))):
            found[name] = await self._asker.wait(name, partial(calls.run, name), timeout, until)
        return [found[id_of(one)] for one in names]

    @known("runs.as_completed")
    async def as_completed(self, ids: Iterable[str | Run], timeout: Seconds | None = None) -> AsyncIterator[Run]:
        """Each of the runs once, as it ends. Raises WaitTimeout after `timeout` (seconds). Of many runs an end may be
        seen some seconds later than it came."""
        names = list(dict.fromkeys(map(id_of, ids)))
        async for run in self._asker.each(names, calls.run, timeout):
            yield run

    @known("runs.list")
    async def list(
        self,
        *,
        workflow: str | None = None,
        open: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPage[Run]:
        """Runs, newest first: `workflow`, `open`, `limit`, `cursor`."""
        given = {"workflow": workflow, "open": open, "limit": limit}
        return await pages(self._asker, lambda at: calls.runs({**given, "cursor": at}), cursor)

    @known("runs.steps")
    async def steps(
        self,
        id: str,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPage[Task]:
        """The steps that have begun or been left out."""
        given = {"limit": limit}
        return await pages(self._asker, lambda at: calls.steps(id, {**given, "cursor": at}), cursor)

    @known("runs.journal")
    async def journal(self, id: str, start: int = 0, limit: int | None = None) -> AsyncJournal:
        """Returns the journal of a run, from an entry on."""

        async def more(cursor: str) -> AsyncPage[Mapping[str, Any]]:
            return await self.journal(id, int(cursor), limit)

        entries, following = await self._asker.ask(calls.journal(id, start, limit))
        return AsyncJournal(entries, following, more)

    @known("runs.cancel")
    async def cancel(self, id: str, reason: str | None = None) -> Run:
        """Cancels a run."""
        return await self._asker.ask(calls.cancel_run(id, reason))

    async def pause(self, id: str) -> Run:
        """Pauses a run: further steps do not begin."""
        return await self._asker.ask(calls.pause_run(id))

    async def resume(self, id: str) -> Run:
        """Resumes a paused run."""
        return await self._asker.ask(calls.resume_run(id))

    @known("runs.signal")
    async def signal(self, id: str, name: str, payload: Json = None) -> Run:
        """Sends a signal. An early signal is stored until its step waits."""
        return await self._asker.ask(calls.signal_run(id, name, payload))

    @known("runs.rerun")
    async def rerun(self, id: str, step: str | None = None, *, recorded: bool = False) -> Run:
        """Runs an ended run again with earlier results: from a step on, or what did not succeed.

        With `recorded` steps are done again with the answers of models that were recorded then, for nothing.
        """
        return await self._asker.ask(calls.rerun(id, step, recorded))

    @known("runs.events")
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
            await asyncio.sleep(REST)
