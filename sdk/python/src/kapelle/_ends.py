"""Waits for the ends of tasks without asyncio: many of one call share a stream."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from . import _calls as calls
from ._asking import late
from ._http import ConnectError, TransportError
from ._lines import NoStream, lines, unknown
from ._submitter import Packed
from ._wire import LONGEST_POLL, Again, Call
from .errors import KapelleError, NotFound, Problem, Unreachable
from .model import Seconds, Task, seconds

if TYPE_CHECKING:
    from ._asker import Asker

MOST = 10_000
"""Tasks that one stream tells of."""
_ROOM = 2_500
"""Room on a stream at which further tasks are added."""
_REST = 0.2
"""Seconds before the next stream, after one that ended soon."""


class Attempted:
    """A submit whose answer waits for the end."""

    def __init__(self, task: Packed, timeout: Seconds | None) -> None:
        self.within = None if timeout is None else seconds(timeout)
        self.until = None if self.within is None else time.monotonic() + self.within
        self.call = calls.run_one(task.body, task.key, LONGEST_POLL if self.within is None else min(LONGEST_POLL, self.within))
        self.lost = False
        """An answer was lost: the task may have been submitted."""

    def tried(self, error: Exception | None) -> None:
        """Notes what came of a try."""
        self.lost = self.lost or (isinstance(error, TransportError) and not isinstance(error, ConnectError))


def run(asker: Asker, task: Packed, timeout: Seconds | None) -> Task:
    """Submits a task, and waits for its end with the same request."""
    attempted = Attempted(task, timeout)
    try:
        found = asker.ask(attempted.call, None, attempted.tried)
    except Unreachable:
        # The task may have been submitted; then its end is waited for as long as for any other.
        if not attempted.lost:
            raise
        found = asker.ask(attempted.call, asker.patience(attempted.within))
    if found.ended:
        return found
    return asker.wait(found.id, lambda poll: calls.task(found.id, poll), timeout, attempted.until)


def each(asker: Asker, ids: Sequence[str], timeout: Seconds | None) -> Iterator[Task]:
    """Yields each task once, as it ends. Raises NoStream, before the first, when tasks must be asked for."""
    until = None if timeout is None else time.monotonic() + seconds(timeout)
    waiting = dict.fromkeys(ids)
    again = Again(asker.patience(None), time.monotonic)
    tardy = 0
    while waiting:
        call = calls.results(list(itertools.islice(waiting, MOST)))
        began = time.monotonic()
        try:
            for task in _stream(asker, call, waiting, until):
                again = Again(asker.patience(None), time.monotonic)
                yield task
        except NoStream as error:
            # A busy server may be late once.
            tardy += 1
            if not error.late or tardy > 1:
                raise
            continue
        except (TransportError, Problem) as error:
            time.sleep(asker.pause(again, call, error))
        if until is not None and timeout is not None and time.monotonic() >= until and waiting:
            raise late(next(iter(waiting)), timeout)
        if waiting and time.monotonic() - began < 1:
            time.sleep(_REST)


def _stream(asker: Asker, call: Call[calls.Raw], waiting: dict[str, None], until: float | None) -> Iterator[Task]:
    """Yields ends until the stream is over or nothing is waited for."""
    told = set(itertools.islice(waiting, MOST))
    stream = ""
    try:
        for line in lines(asker.url, asker.http, call, until):
            if "task" in line:
                id = line["task"]["id"]
                told.discard(id)
                if id in waiting:
                    del waiting[id]
                    yield Task.read(line["task"])
            elif "stream" in line:
                stream = line["stream"]
                _missing(asker, line)
            if len(waiting) == 0 or (until is not None and time.monotonic() >= until):
                return
            if len(waiting) > len(told) <= MOST - _ROOM:
                fresh = list(itertools.islice((id for id in waiting if id not in told), MOST - len(told)))
                told.update(fresh)
                _missing(asker, asker.ask(calls.more_results(stream, fresh)))
    except NotFound as error:
        if not stream:
            unknown(asker.url, error)
        raise
    except NoStream:
        raise
    except KapelleError as error:
        if stream:
            raise
        unknown(asker.url, error)


def _missing(asker: Asker, answer: calls.Raw) -> None:
    """Raises the server's refusal of a task that does not exist."""
    for id in answer.get("missing", ()):
        asker.ask(calls.task(id))
