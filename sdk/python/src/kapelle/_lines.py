"""Lines of JSON out of an answer that does not end."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from ._http import AnswerTimeout, Pool, Response, TransportError
from ._http_async import AsyncPool
from ._wire import Call, refused
from .errors import KapelleError, Problem, Unreachable

Line = Mapping[str, Any]
Up = Callable[[Callable[[bytes], None]], None]
"""Gets the function that writes more of a request whose body stays open."""

_FIRST = 5.0
"""Seconds in which the first line must come. A proxy that collects answers lets none through."""
_SILENCE = 30.0
"""Seconds without data after which a stream counts as cut. The server sends a sign of life every 10."""
_LONGEST = 64 * 1024 * 1024
_FULL = 429
"""Status of a server that has too many streams now."""
_UNKNOWN = frozenset({404, 405, _FULL, 501})
"""Statuses of a server, or of a proxy, that does not know the stream, or has too many."""


class NoStream(Unreachable):
    """The server, or something on the way to it, offers no such stream."""

    def __init__(self, message: str, late: bool = False, full: bool = False) -> None:
        super().__init__(message)
        self.full = full
        """There are too many streams now, so that another may be tried later."""
        self.late = late
        """The first line did not come in time. A busy server may be the cause."""


class _Reader:
    """Parses the parts of a stream."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rest = b""
        self._refusal: Response | None = None
        self.begun = False

    def feed(self, part: Response | bytes) -> list[Line]:
        """Returns the lines that a part completes."""
        if isinstance(part, Response):
            self._refusal = None if part.ok else part
            return []
        if self._refusal:
            self._refusal = replace(self._refusal, body=self._refusal.body + part)
            return []
        lines = (self._rest + part if self._rest else part).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            raise Unreachable("the server sent a line without an end")
        self.begun = self.begun or bool(lines)
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise Unreachable(f"{self._url}: a line of the stream is not JSON: {error}") from error

    def end(self) -> None:
        """Raises the refusal, or the error of a stream that ended before its first line."""
        if self._refusal:
            raise refused(self._url, self._refusal)
        if not self.begun:
            raise Unreachable(f"{self._url}: the stream ended before it began")

    def cut(self, error: TransportError) -> None:
        """Returns for a stream that had begun: it is opened again. Raises otherwise."""
        if self.begun:
            return
        if isinstance(error, AnswerTimeout):
            raise NoStream(f"{self._url}: no line of the stream came within {_FIRST:g} s", late=True) from error
        raise error


def unknown(url: str, error: KapelleError) -> NoReturn:
    """Raises NoStream for a refusal that says that there is no such stream, else the refusal."""
    status = error.status if isinstance(error, (Problem, Unreachable)) else None
    if status in _UNKNOWN:
        raise NoStream(f"{url} answered {status} to a stream", full=status == _FULL) from error
    raise error


def lines(url: str, http: Pool, call: Call[Any], until: float | None) -> Generator[Line, None, None]:
    """Yields the lines of a stream until it ends, is cut, or `until` has come by the monotonic clock.

    Raises NoStream when nothing lets it through, and other errors when it does not begin.
    """
    reader = _Reader(url)
    stream = http.stream(call.method, call.target(), call.headers(), _SILENCE, call.content(), _FIRST, until)
    try:
        for part in stream:
            yield from reader.feed(part)
        reader.end()
    except TransportError as error:
        if until is None or time.monotonic() < until:
            reader.cut(error)
    finally:
        stream.close()


async def async_lines(url: str, http: AsyncPool, call: Call[Any], up: Up | None = None) -> AsyncGenerator[Line, None]:
    """Yields the lines of a stream until it ends or is cut, as `lines` does. With `up` the request stays open, too."""
    reader = _Reader(url)
    stream = http.stream(call.method, call.target(), call.headers(), _SILENCE, call.content(), _FIRST, up)
    try:
        async for part in stream:
            for line in reader.feed(part):
                yield line
        reader.end()
    except TransportError as error:
        reader.cut(error)
    finally:
        await stream.aclose()
