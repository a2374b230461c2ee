"""HTTP/1.1 over sockets, with connections that are kept for later requests, and its parser.

The standard library alone; `_http_async` speaks HTTP over asyncio. Decision 0014 has the measurements. Redirects are not
followed.
"""

from __future__ import annotations

import base64
import collections
import os
import select
import socket
import ssl
import time
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

CONNECT = 10.0
"""Seconds for reaching the server."""
KEPT = 64
"""Idle connections that are kept."""
IDLE = 5.0
"""Seconds that a connection is kept. The server keeps it longer, so that none is used while it is being closed."""
_HEAD = 64 * 1024
"""Bytes of the head of an answer at most."""
READ = 256 * 1024
"""Bytes of one read, and of what a slow reader of a stream is behind at most."""


class TransportError(Exception):
    """The request was not answered: the connection failed, broke, or was silent for too long."""


class ConnectError(TransportError):
    """No connection was made, so nothing was sent."""


class ConnectTimeout(ConnectError):
    """No connection was made in time."""


class AnswerTimeout(TransportError):
    """Nothing was heard for as long as the request may take."""


@dataclass(frozen=True)
class Response:
    """An answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """The request was carried out."""
        return 200 <= self.status < 300


class Parser:
    """Reads one answer out of bytes, without a socket."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.begun = False
        """The head is complete."""
        self.done = False
        self.reusable = False
        """The connection may carry another request."""
        self._buffer = b""
        # Bytes of the body, or of a chunk, that are missing; None until the connection ends.
        self._left: int | None = 0
        self._chunked = False
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """Returns the part of the body that these bytes complete. Raises TransportError for what is not HTTP."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if not self.begun:
            data = self._head(data)
            if not self.begun:
                return b""
        if self.done:
            self._surplus(data)
            return b""
        if self._chunked:
            return self._chunks(data)
        if self._left is None:
            return data
        if len(data) > self._left:
            self._surplus(data[self._left :])
            data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def end(self) -> None:
        """Notes the end of the connection. Raises TransportError unless the answer ends with it."""
        self.reusable = False
        if self.begun and not self._chunked and self._left is None:
            self.done = True
        if not self.done:
            raise TransportError("the server closed the connection before it had answered")

    def _surplus(self, data: bytes) -> None:
        if data:
            self.reusable = False

    def _head(self, data: bytes) -> bytes:
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _HEAD:
                    raise TransportError("the head of the answer has no end")
                self._buffer = data
                return b""
            head, data = data[:end].decode("latin-1"), data[end + 4 :]
            first, *lines = head.split("\r\n")
            version, _, rest = first.partition(" ")
            code = rest[:3]
            if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit() and len(code) == 3):
                raise TransportError(f"the answer is not HTTP/1.1 but begins with {first[:40]!r}")
            self.status = int(code)
            # Interim answers are followed by the one that counts.
            if self.status >= 200 or self.status == 101:
                break
        headers = self.headers
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.begun = True
        connection = headers.get("connection", "").lower()
        self.reusable = version != "HTTP/1.0" and "close" not in connection
        length = headers.get("content-length")
        if self.status in (101, 204, 304):
            self.done = True
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunked = True
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise TransportError(f"the length of the answer is {length!r}, which is not a number")
            self._left = int(length)
            self.done = self._left == 0
        else:
            self._left, self.reusable = None, False
        return data

    def _chunks(self, data: bytes) -> bytes:
        parts = []
        at = 0
        left = self._left or 0
        while not self.done:
            if left > 2:
                part = data[at : at + left - 2]
                parts.append(part)
                at += len(part)
                left -= len(part)
                if left > 2:
                    break
            if left:
                # The line end behind a chunk.
                skipped = min(left, len(data) - at)
                at += skipped
                left -= skipped
                if left:
                    break
            end = data.find(b"\r\n", at)
            if end < 0:
                self._buffer = data[at:]
                if len(self._buffer) > _HEAD:
                    raise TransportError("the head of a chunk has no end")
                break
            line, at = data[at:end], end + 2
            if self._trailer:
                self.done = not line
                continue
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise TransportError("the size of a chunk is not a number") from None
            if size < 0:
                raise TransportError("the size of a chunk is not a number")
            self._trailer = size == 0
            left = size + 2 if size else 0
        if self.done:
            self._surplus(data[at:])
        self._left = left
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Target:
    """The server as requests name it, and the way there."""

    def __init__(self, url: str, token: str, proxies: bool) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.secure = parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        named = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = f"{named}:{self.port}" if parts.port else named
        self.prefix = parts.path
        self.common = (
            f"host: {self.authority}\r\nauthorization: Bearer {token}\r\nuser-agent: kapelle-python\r\n"
            "accept: */*\r\naccept-encoding: identity\r\n"
        )
        self.reach = (self.host, self.port)
        self.tunnel = b""
        proxy = self._proxy(parts.scheme) if proxies else None
        if proxy:
            self._through(proxy, f"{named}:{self.port}")
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The settings of TLS, with the authorities that the system trusts."""
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context

    def _proxy(self, scheme: str) -> str | None:
        found = urllib.request.getproxies()
        if urllib.request.proxy_bypass(f"{self.host}:{self.port}") or urllib.request.proxy_bypass(self.host):
            return None
        return found.get(scheme) or found.get("all")

    def _through(self, proxy: str, server: str) -> None:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"proxy: `{parts.scheme}://{parts.hostname}` is not one of kind http://; set NO_PROXY")
        self.reach = (parts.hostname, parts.port or 80)
        let_in = ""
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            let_in = f"proxy-authorization: Basic {base64.b64encode(pair).decode()}\r\n"
        if self.secure:
            self.tunnel = f"CONNECT {server} HTTP/1.1\r\nhost: {server}\r\n{let_in}\r\n".encode("latin-1")
        else:
            self.prefix = f"http://{self.authority}{self.prefix}"
            self.common += let_in

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Returns the bytes of a request. Raises ValueError for a header that would be two."""
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\n{self.common}"
        for name, value in headers.items():
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"{name}: it has characters that a header cannot have")
            head += f"{name}: {value}\r\n"
        if body is None:
            if "transfer-encoding" in headers:
                return (head + "\r\n").encode("latin-1")
            # A request that may have a body says that it has none.
            end = "content-length: 0\r\n\r\n" if method == "POST" else "\r\n"
            return (head + end).encode("latin-1")
        return f"{head}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


def connect_error(error: Exception) -> ConnectError:
    if isinstance(error, TimeoutError):
        return ConnectTimeout("no connection in time")
    return ConnectError(str(error) or type(error).__name__)


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.idle_since = 0.0
        self._poll = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)

    def quiet(self) -> bool:
        """Nothing has come since the last answer. An end, or bytes nobody asked for, make it useless."""
        try:
            if self._poll:
                return not self._poll.poll(0)
            return not select.select([self.sock], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def send(self, request: bytes, timeout: float) -> TransportError | None:
        """Returns the error of a server that stopped reading: its answer, if there is one, says why."""
        self.sock.settimeout(timeout)
        try:
            self.sock.sendall(request)
        except TimeoutError as error:
            raise AnswerTimeout("the request could not be sent in time") from error
        except OSError as error:
            return TransportError(f"the connection broke: {error}")
        return None

    def receive(self) -> bytes:
        try:
            return self.sock.recv(READ)
        except TimeoutError as error:
            raise AnswerTimeout("no answer in time") from error
        except OSError as error:
            raise TransportError(f"the connection broke: {error}") from error

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass


class Pool:
    """Sends requests over sockets. Safe for threads; a forked process makes connections of its own."""

    def __init__(self, url: str, token: str, *, proxies: bool) -> None:
        self._target = Target(url, token, proxies)
        # Appended to and taken from without a lock: a lock would stay locked in a process forked meanwhile.
        self._idle: collections.deque[_Connection] = collections.deque()
        self._process = os.getpid()

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Response:
        """Sends a request once. `timeout` is the seconds of silence after which it is given up."""
        request = self._target.request(method, path, headers, body)
        connection = self._take()
        parser = Parser()
        kept = False
        try:
            unsent = connection.send(request, timeout)
            parts = []
            while not parser.done:
                data = connection.receive()
                if not data and unsent:
                    raise unsent
                if data:
                    parts.append(parser.feed(data))
                else:
                    parser.end()
            kept = parser.reusable and unsent is None
        finally:
            # Also when a signal interrupts it: an answer would come that is another request's.
            if kept:
                self._give(connection)
            else:
                connection.close()
        return Response(parser.status, parser.headers, parts[0] if len(parts) == 1 else b"".join(parts))

    def stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        timeout: float,
        body: bytes | None = None,
        first: float | None = None,
        until: float | None = None,
    ) -> Generator[Response | bytes, None, None]:
        """Yields the head of an answer, then its body as it comes.

        `first` is the timeout until the body begins, `until` the end of all waits, by the monotonic clock.
        """
        request = self._target.request(method, path, headers, body)
        connection = self._take()
        parser = Parser()
        try:
            unsent = connection.send(request, first or timeout)
            if unsent:
                raise unsent
            told = False
            while not parser.done:
                if until is not None:
                    left = max(until - time.monotonic(), 0.001)
                    connection.sock.settimeout(min(first or timeout, left))
                data = connection.receive()
                part = b""
                if data:
                    part = parser.feed(data)
                else:
                    parser.end()
                if parser.begun and not told:
                    told = True
                    yield Response(parser.status, parser.headers)
                if part:
                    if first:
                        connection.sock.settimeout(timeout)
                        first = None
                    yield part
        finally:
            connection.close()

    def close(self) -> None:
        """Ends the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection:
        if self._process != os.getpid():
            # Those of the process that this one was forked from are still in use there.
            copies, self._idle, self._process = self._idle, collections.deque(), os.getpid()
            for connection in copies:
                connection.close()
        oldest = time.monotonic() - IDLE
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if connection.idle_since > oldest and connection.quiet():
                return connection
            connection.close()

    def _give(self, connection: _Connection) -> None:
        if len(self._idle) >= KEPT or self._process != os.getpid():
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def _connect(self) -> _Connection:
        target = self._target
        sock = None
        try:
            sock = socket.create_connection(target.reach, CONNECT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.tunnel:
                self._tunnel(sock)
            if target.secure:
                sock = target.context.wrap_socket(sock, server_hostname=target.host)
        except (OSError, TransportError) as error:
            if sock is not None:
                sock.close()
            raise connect_error(error) from error
        return _Connection(sock)

    def _tunnel(self, sock: socket.socket) -> None:
        sock.sendall(self._target.tunnel)
        parser = Parser()
        while not parser.begun:
            data = sock.recv(1)
            if not data:
                parser.end()
            parser.feed(data)
        if not 200 <= parser.status < 300:
            raise TransportError(f"the proxy answered {parser.status}")
