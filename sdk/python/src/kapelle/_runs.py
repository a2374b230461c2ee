"""Runs of workflows, for programs without asyncio."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

from . import _calls as calls
from ._asker import Asker, pages
from ._asking import REST
from ._options import known
from ._stream import RunStream
from ._wire import Again
from .model import Event, Journal, Json, Page, Run, Seconds, Task, id_of, seconds


class Runs:
    """Runs of workflows."""

    def __init__(self, asker: Asker) -> None:
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
        return pages(self._asker, lambda at: calls.runs({**given, "cursor": at}), cursor)

    @known("runs.steps")
    def steps(
        self,
        id: str,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """The steps that have begun or been left out."""
        given = {"limit": limit}
        return pages(self._asker, lambda at: calls.steps(id, {**given, "cursor": at}), cursor)

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
            time.sleep(REST)
