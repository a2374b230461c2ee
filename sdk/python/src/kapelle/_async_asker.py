"""Requests of the client for asyncio."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ._asking import EARLY, SILENCE, TURN, Patience, late
from ._http import Response, TransportError
from ._http_async import AsyncPool
from ._place import find
from ._sse import Frame, Parser
from ._submitter import Tried
from ._wire import LONGEST_POLL, Again, Call, read, refused
from .errors import Problem
from .model import AsyncPage, Part, Run, Seconds, Task, seconds

T = TypeVar("T")
E = TypeVar("E", Task, Run)
_WAITS = 50
"""Requests that wait for many tasks or runs at once."""


class AsyncAsker(Patience):
    """Sends requests, and retries where that is harmless."""

    def __init__(self, url: str | None, token: str | None, retry_for: float) -> None:
        place = find(url, token)
        super().__init__(place.url, retry_for)
        # A proxy is of no use on the way to this very machine.
        self.http = AsyncPool(place.url, place.token, proxies=not place.local)

    async def ask(self, call: Call[T], patience: float | None = None, tried: Tried | None = None) -> T:
        """`tried` is called after each try, with its error."""
        again = Again(self.retry_for if patience is None else patience, time.monotonic)
        target, headers, content = call.target(), call.headers(), call.content()
        while True:
            try:
                response = await self.http.request(call.method, target, headers, content, call.timeout())
                answer = read(self.url, call, response)
                if tried:
                    tried(None)
                return answer
            except (TransportError, Problem) as error:
                if tried:
                    tried(error)
                pause = self.pause(again, call, error)
            await asyncio.sleep(pause)

    async def wait(
        self, what: str, call: Callable[[float], Call[E]], timeout: Seconds | None, until: float | None = None
    ) -> E:
        """Waits for an end. `until` is when it was to come, by the monotonic clock, if waiting began earlier."""
        if until is None and timeout is not None:
            until = time.monotonic() + seconds(timeout)
        while True:
            found = await self.poll(call, LONGEST_POLL, until)
            if found.ended:
                return found
            if until is not None and timeout is not None and time.monotonic() >= until:
                raise late(what, timeout)

    async def poll(self, call: Callable[[float], Call[E]], most: float, until: float | None) -> E:
        """Sends one request that waits, no longer than `until`."""
        asked = time.monotonic()
        left = None if until is None else max(until - asked, 0.0)
        poll = most if left is None else min(most, left)
        found = await self.ask(call(poll), self.patience(left))
        if not found.ended and time.monotonic() - asked < poll / 2:
            # A server on its way down does not wait.
            await asyncio.sleep(EARLY)
        return found

    async def each(
        self, ids: Sequence[str], call: Callable[[str, float], Call[E]], timeout: Seconds | None
    ) -> AsyncIterator[E]:
        """Waits for many ends, and yields each as it comes. A bounded number of requests wait; more ids take turns."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        waiting = collections.deque(ids)
        ended: asyncio.Queue[E | BaseException] = asyncio.Queue()

        async def work() -> None:
            try:
                while waiting:
                    id = waiting.popleft()
                    found = await self.poll(partial(call, id), TURN if waiting else LONGEST_POLL, until)
                    if found.ended:
                        ended.put_nowait(found)
                    elif until is not None and timeout is not None and time.monotonic() >= until:
                        raise late(id, timeout)
                    else:
                        waiting.append(id)
            except Exception as error:
                ended.put_nowait(error)

        working = [asyncio.ensure_future(work()) for _ in range(min(_WAITS, len(ids)))]
        try:
            for _ in ids:
                found = await ended.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            for one in working:
                one.cancel()

    async def frames(
        self, call: Call[None], headers: Callable[[], Mapping[str, str]], again: Again
    ) -> AsyncIterator[Frame | None]:
        """Events until the stream ends; None says that it was interrupted and is to be looked at anew."""
        stream = self.http.stream(call.method, call.target(), headers(), SILENCE)
        try:
            refusal: Response | None = None
            parser = Parser()
            async for part in stream:
                if isinstance(part, Response):
                    refusal = None if part.ok else part
                elif refusal:
                    refusal = replace(refusal, body=refusal.body + part)
                else:
                    for frame in parser.feed(part):
                        yield frame
            if refusal:
                raise refused(self.url, refusal)
        except (TransportError, Problem) as error:
            pause = self.pause(again, call, error)
            await asyncio.sleep(pause)
        finally:
            await stream.aclose()
        yield None


async def pages(asker: AsyncAsker, call: Callable[[str | None], Call[Part[T]]], cursor: str | None = None) -> AsyncPage[T]:
    """Asks for a page that knows the way to the next."""
    part = await asker.ask(call(cursor))
    return AsyncPage(part.items, part.next_cursor, lambda following: pages(asker, call, following))
