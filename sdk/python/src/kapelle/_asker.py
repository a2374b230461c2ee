"""Requests of the client without asyncio."""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ._asking import EARLY, SILENCE, TURN, Patience, late
from ._http import Pool, Response, TransportError
from ._place import find
from ._sse import Frame, Parser
from ._submitter import Tried
from ._wire import LONGEST_POLL, Again, Call, read, refused
from .errors import Problem
from .model import Page, Part, Run, Seconds, Task, seconds

T = TypeVar("T")
E = TypeVar("E", Task, Run)
_WAITS = 16
"""Threads that wait for many tasks or runs at once."""
_LAST_TURN = 2.0
"""Seconds of a wait while nothing else waits."""


class Asker(Patience):
    """Sends requests, and retries where that is harmless."""

    def __init__(self, url: str | None, token: str | None, retry_for: float) -> None:
        place = find(url, token)
        super().__init__(place.url, retry_for)
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
                pause = self.pause(again, call, error)
            time.sleep(pause)

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
                raise late(what, timeout)

    def poll(self, call: Callable[[float], Call[E]], most: float, until: float | None) -> E:
        """Sends one request that waits, no longer than `until`."""
        asked = time.monotonic()
        left = None if until is None else max(until - asked, 0.0)
        poll = most if left is None else min(most, left)
        found = self.ask(call(poll), self.patience(left))
        if not found.ended and time.monotonic() - asked < poll / 2:
            # A server on its way down does not wait.
            time.sleep(EARLY)
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
                    found = self.poll(partial(call, id), TURN if waiting else _LAST_TURN, until)
                    if found.ended:
                        ended.put(found)
                    elif until is not None and timeout is not None and time.monotonic() >= until:
                        raise late(id, timeout)
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
        stream = self.http.stream(call.method, call.target(), headers(), SILENCE)
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
            pause = self.pause(again, call, error)
            time.sleep(pause)
        finally:
            stream.close()
        yield None


def pages(asker: Asker, call: Callable[[str | None], Call[Part[T]]], cursor: str | None = None) -> Page[T]:
    """Asks for a page that knows the way to the next."""
    part = asker.ask(call(cursor))
    return Page(part.items, part.next_cursor, lambda following: pages(asker, call, following))
