"""HTTP/1.1 over asyncio, with connections that are kept for later requests."""

from __future__ import annotations

import asyncio
import collections
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping

from ._http import (
    CONNECT,
    IDLE,
    KEPT,
    READ,
    AnswerTimeout,
    ConnectTimeout,
    Parser,
    Response,
    Target,
    TransportError,
    connect_error,
)


class _Line(asyncio.Protocol):
    """A connection of an event loop: one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: Parser | None = None
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        # A stream is told of every part, a request of the end alone.
        self._streaming = False
        self._behind = 0
        self._heard = 0.0
        self._unsent = 0
        self.timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._error: TransportError | None = None
        self._paused = False
        self.usable = True
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or parser.done:
            # Bytes that nobody asked for.
            self.abort()
            return
        self._heard = self._loop.time()
        try:
            part = parser.feed(data)
        except TransportError as error:
            self._fail(error)
            return
        if part:
            self._parts.append(part)
        if self._streaming:
            self._behind += len(part)
            if self._behind > READ and self._transport and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._wake()
        elif parser.done:
            self._wake()

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(error)

    def _lost(self, error: Exception | None) -> None:
        self.usable = False
        parser = self._parser
        if parser is None or parser.done or self._error:
            return
        try:
            if error:
                raise TransportError(f"the connection broke: {error}")
            parser.end()
            self._wake()
        except TransportError as broken:
            self._fail(broken)

    def _fail(self, error: TransportError) -> None:
        self._error = error
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    @property
    def sent(self) -> bool:
        """The request was taken to its end, and another may follow it."""
        return self.usable and self._transport is not None and self._transport.get_write_buffer_size() == 0

    def begin(self, request: bytes, timeout: float, streaming: bool = False) -> Parser:
        """Sends a request."""
        assert self._transport
        self._parser = parser = Parser()
        self._parts, self._error, self._behind = [], None, 0
        self._streaming, self.timeout = streaming, timeout
        self._heard = self._loop.time()
        self._transport.write(request)
        self._unsent = self._transport.get_write_buffer_size()
        return parser

    def write(self, data: bytes) -> None:
        """Writes more of a request. What is written to a broken connection is lost."""
        if self.usable and self._transport:
            self._transport.write(data)

    async def wait(self) -> None:
        """Waits for the end of the answer, or for more of a stream. Raises TransportError."""
        self._waiting = self._loop.create_future()
        self._timer = self._loop.call_later(self.timeout, self._silent)
        try:
            await self._waiting
        finally:
            self._timer.cancel()
            self._waiting = None
        self.check()

    def check(self) -> None:
        """Raises the error that ended the connection."""
        if self._error:
            raise self._error

    def _silent(self) -> None:
        """Gives up, unless bytes went or came meanwhile."""
        left = self._heard + self.timeout - self._loop.time()
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        if unsent < self._unsent:
            self._unsent, left = unsent, self.timeout
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._silent)
        else:
            self._fail(AnswerTimeout("no answer in time"))

    def take(self) -> bytes:
        """Returns what came of the body since the last call."""
        parts, self._parts, self._behind = self._parts, [], 0
        if self._paused and self._transport:
            self._paused = False
            if self.usable:
                self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def full(self) -> bool:
        """Parts wait to be taken, or the answer is complete."""
        return bool(self._parts) or self._error is not None or (self._parser is not None and self._parser.done)

    def abort(self) -> None:
        """Breaks the connection off."""
        self.usable = False
        if self._transport:
            try:
                self._transport.abort()
            except RuntimeError:  # The loop is closed.
                pass


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class AsyncPool:
    """Sends requests over asyncio. Each event loop, also one after another, has connections of its own."""

    def __init__(self, url: str, token: str, *, proxies: bool) -> None:
        self._target = Target(url, token, proxies)
        self._idle: dict[asyncio.AbstractEventLoop, collections.deque[_Line]] = {}
        self._process = os.getpid()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Response:
        """Sends a request once. `timeout` is the seconds of silence after which it is given up."""
        request = self._target.request(method, path, headers, body)
        loop = asyncio.get_running_loop()
        line = self._take(loop) or await self._connect(loop)
        kept = False
        try:
            parser = line.begin(request, timeout)
            await line.wait()
            kept = parser.reusable and line.sent
        finally:
            # Also when it is cancelled: an answer would come that is another request's.
            if not kept:
                line.abort()
        response = Response(parser.status, parser.headers, line.take())
        self._give(loop, line)
        return response

    async def stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: float,
        body: bytes | None = None,
        first: float | None = None,
        up: Callable[[Callable[[bytes], None]], None] | None = None,
    ) -> AsyncGenerator[Response | bytes, None]:
        """Yields the head of an answer, then its body as it comes. `first` is the timeout until the body begins.

        With `up` the body of the request stays open: it gets the function that writes more of it.
        """
        if up:
            request = self._target.request(method, path, {**headers, "transfer-encoding": "chunked"}, None)
            request += _chunk(body or b"")
        else:
            request = self._target.request(method, path, headers, body)
        loop = asyncio.get_running_loop()
        line = self._take(loop) or await self._connect(loop)
        try:
            parser = line.begin(request, first or timeout, streaming=True)
            if up:
                up(lambda data: line.write(_chunk(data)))
            told = False
            while True:
                if not line.full:
                    await line.wait()
                if parser.begun and not told:
                    told = True
                    yield Response(parser.status, parser.headers)
                done = parser.done
                part = line.take()
                if part:
                    line.timeout = timeout
                    yield part
                elif done:
                    return
                line.check()
        finally:
            line.abort()

    async def close(self) -> None:
        """Ends the connections that are idle."""
        if self._process == os.getpid():
            for lines in list(self._idle.values()):
                while lines:
                    lines.pop().abort()

    def _take(self, loop: asyncio.AbstractEventLoop) -> _Line | None:
        if self._process != os.getpid():
            # Those of the process that this one was forked from are still in use there.
            self._idle, self._process = {}, os.getpid()
        lines = self._idle.get(loop)
        oldest = time.monotonic() - IDLE
        while lines:
            line = lines.pop()
            if line.usable and line.idle_since > oldest:
                return line
            line.abort()
        return None

    def _give(self, loop: asyncio.AbstractEventLoop, line: _Line) -> None:
        lines = self._idle.get(loop)
        if lines is None:
            # Those of loops that are over cannot even be closed any more.
            open = {other: lines for other, lines in list(self._idle.items()) if not other.is_closed()}
            lines = open[loop] = collections.deque()
            self._idle = open
        if not line.usable or len(lines) >= KEPT:
            line.abort()
            return
        line.idle_since = time.monotonic()
        lines.append(line)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> _Line:
        try:
            return await asyncio.wait_for(self._reach(loop), CONNECT)
        except (OSError, asyncio.TimeoutError, TransportError) as error:
            if isinstance(error, asyncio.TimeoutError):
                raise ConnectTimeout("no connection in time") from error
            raise connect_error(error) from error

    async def _reach(self, loop: asyncio.AbstractEventLoop) -> _Line:
        target = self._target
        line = _Line(loop)
        context = target.context if target.secure else None
        if not target.tunnel:
            name = target.host if context else None
            await loop.create_connection(lambda: line, *target.reach, ssl=context, server_hostname=name)
            return line
        opened = _Line(loop)
        transport, _ = await loop.create_connection(lambda: opened, *target.reach)
        try:
            parser = opened.begin(target.tunnel, CONNECT, streaming=True)
            while not parser.begun:
                await opened.wait()
            if not 200 <= parser.status < 300:
                raise TransportError(f"the proxy answered {parser.status}")
            assert context
            secured = await loop.start_tls(transport, line, context, server_hostname=target.host)
            assert secured
            line.connection_made(secured)
            return line
        except BaseException:
            opened.abort()
            raise
