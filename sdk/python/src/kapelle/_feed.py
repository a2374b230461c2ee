"""The tasks that the server pushes to a host, as far as the host's free slots go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from . import _wire as wire
from ._http import TransportError
from ._http_async import AsyncPool
from ._lines import Line, async_lines, unknown
from .errors import KapelleError, NotFound, problem

_LONGEST = 64 * 1024
"""Bytes of a line. A longer frame is a request of its own."""


class Feed:
    """A stream of tasks.

    `_credit` is the number of tasks that the server may have pushed since the stream was opened: it begins with the free
    slots and rises by one for each slot that becomes free.
    """

    def __init__(
        self,
        url: str,
        http: AsyncPool,
        tasks: Callable[[Sequence[Mapping[str, Any]]], None],
        cancel: Callable[[Sequence[str]], None],
    ) -> None:
        self._url = url
        self._http = http
        self._tasks = tasks
        self._cancel = cancel
        self._stream = ""
        self._credit = 0
        self._told = 0
        self._write: Callable[[bytes], None] | None = None
        """Writes a line of a stream that goes both ways."""
        self._frames: dict[int, asyncio.Future[Any]] = {}
        """Frames that wait for their answers."""
        self._number = 0
        self._known = ""
        """The host of the last stream that began."""

    async def hear(self, way: str, host: str, free: int) -> None:
        """Hears tasks until the stream ends. `way` is `duplex`, or `stream` for one on which only the server talks.

        Raises NotFound when the host must register again, and NoStream when there is no such way.
        """
        self._stream = ""
        self._credit = self._told = free
        both = way == "duplex"
        call: wire.Call[Any] = wire.Call(
            "POST",
            f"/api/v1/hosts/{host}/{way}",
            lambda raw: raw,
            data=b'{"credit":%d}\n' % free,
            media_type="application/x-ndjson" if both else "application/json",
        )
        try:
            async for line in async_lines(self._url, self._http, call, self._opened if both else None):
                self._line(host, line)
        except NotFound as error:
            # A host that had a stream is unknown to a restarted server. One that never had may ask for something unknown.
            if self._known == host:
                raise
            unknown(self._url, error)
        except TransportError as error:
            raise wire.unreachable(self._url, error) from error
        except KapelleError as error:
            unknown(self._url, error)
        finally:
            self._stream = ""
            self._write = None
            for frame in self._frames.values():
                if not frame.done():
                    frame.set_exception(TransportError("the stream was cut"))
            self._frames.clear()

    def _opened(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def _line(self, host: str, line: Line) -> None:
        if "tasks" in line:
            self._tasks(line["tasks"])
        elif "n" in line:
            frame = self._frames.pop(line["n"], None)
            if frame and not frame.done():
                error = line.get("error")
                if error:
                    frame.set_exception(problem(error["status"], error["code"], error["detail"], "", None))
                else:
                    frame.set_result(line["answer"].get("results", []))
        elif "cancel" in line:
            self._cancel(line["cancel"])
        elif "stream" in line:
            self._stream = line["stream"]
            self._known = host

    def freed(self) -> None:
        """Notes that a slot has become free."""
        self._credit += 1

    @property
    def behind(self) -> bool:
        """Tells whether the server has not been told of all free slots."""
        return self._stream != "" and self._credit > self._told

    def send(self, reports: bytes) -> Awaitable[Any] | None:
        """Sends reports up the stream. Returns None when a request must carry them."""
        if not self._stream or not self._write or len(reports) > _LONGEST:
            return None
        self._number += 1
        sent = self._frames[self._number] = asyncio.get_running_loop().create_future()
        self._told = self._credit
        self._write(b'{"n":%d,"credit":%d,"reports":[%b]}\n' % (self._number, self._credit, reports))
        return sent

    def frame(self) -> tuple[str, int] | None:
        """Returns what a request says of the open stream: its id and the credit. None without an open stream."""
        return (self._stream, self._credit) if self._stream else None

    def taken(self, frame: tuple[str, int]) -> None:
        """Notes that the server has a request."""
        stream, credit = frame
        if stream == self._stream:
            self._told = max(self._told, credit)
