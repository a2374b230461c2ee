"""Requests and answers without a socket: their contents, parsing and retries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

from .errors import KapelleError, Problem, Unreachable, problem

T = TypeVar("T")

CONNECT = 10.0
"""Timeout of a connection in seconds."""
ANSWER = 30.0
"""Timeout of an answer in seconds, besides a requested wait."""
LONGEST_POLL = 20.0
"""Seconds of one poll; a longer wait has several."""
PATIENCE = 60.0
"""Seconds for which waits and streams continue without the server: longer than a restart."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

# Raised before anything was sent: a retry is harmless.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and the parser of its answer."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    """The idempotency key."""
    wait: float = 0.0
    """Seconds of the requested wait."""
    data: bytes | None = None
    """A body that is not JSON."""
    media_type: str = "application/json"
    binary: bool = False
    """Whether the answer is not JSON."""
    harmless: bool = False
    """Whether sending it twice is harmless without a key."""

    @property
    def repeatable(self) -> bool:
        """Tells whether it may be sent twice."""
        return self.method == "GET" or self.key is not None or self.harmless

    def content(self) -> bytes | None:
        """Returns the body."""
        return self.data if self.body is None else encode(self.body)

    def headers(self) -> dict[str, str]:
        """Returns its own headers."""
        headers = {} if self.body is None and self.data is None else {"content-type": self.media_type}
        if self.key is not None:
            headers["idempotency-key"] = self.key
        return headers

    def timeout(self) -> httpx.Timeout:
        """Returns the timeout."""
        return httpx.Timeout(self.wait + ANSWER, connect=CONNECT)


def encode(value: Any) -> bytes:
    """Encodes as JSON in UTF-8. Raises ValueError for values that JSON does not have."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from error


def options(place_local: bool, token: str) -> dict[str, Any]:
    """Returns the options of an httpx client. A proxy cannot help on the way to this machine."""
    headers = {"authorization": f"Bearer {token}", "user-agent": "kapelle-python"}
    # The server keeps idle connections longer than this, so that a connection is never used while it is closed.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=5.0)
    return {"headers": headers, "limits": limits, "trust_env": not place_local, "follow_redirects": False}


def read(url: str, call: Call[T], response: httpx.Response) -> T:
    """Returns the server's answer, or raises its problem."""
    if not response.is_success:
        raise refused(url, response)
    try:
        if call.binary:
            return call.read(response.content)
        return call.read(response.json() if response.content else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(
            f"{url}: the answer to {call.method} {call.path} is not what was expected: {error!r}"
        ) from error


def refused(url: str, response: httpx.Response) -> KapelleError:
    """Converts a refusal to an exception."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/problem+json"):
        try:
            raw = response.json()
            after = response.headers.get("retry-after")
            wait = float(after) if after and after.isdigit() else None
            return problem(response.status_code, raw["code"], raw["detail"], raw.get("title", ""), wait)
        except (ValueError, KeyError, TypeError):
            pass
    what = f"{url} answered {response.status_code}" + (f" with {kind}" if kind else "")
    return Unreachable(f"{what}: this does not look like a Kapelle server; is the address right?")


def unreachable(url: str, error: Exception) -> Unreachable:
    """Describes a failure of a request for a person."""
    what = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        what = "no connection in time" if isinstance(error, httpx.ConnectTimeout) else "no answer in time"
    elif isinstance(error, httpx.ConnectError) and ("refused" in what or "All connection attempts failed" in what):
        what = "connection refused; is the server running? `kapelle serve` starts one"
    return Unreachable(f"{url}: {what}")


class Again:
    """Decides whether and when a request is retried, within a number of seconds from the first failure."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: float | None = None
        self._pause = _FIRST_PAUSE

    def after(self, call: Call[Any], error: Exception) -> float | None:
        """Returns the seconds until the next try, or None without one."""
        if isinstance(error, Problem):
            if error.retry_after is None or error.status not in (429, 503):
                return None
            pause = error.retry_after
        elif isinstance(error, _UNSENT) or (isinstance(error, httpx.TransportError) and call.repeatable):
            pause = self._pause * random.uniform(0.5, 1.0)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        else:
            return None
        now = self._clock()
        if self._until is None:
            self._until = now + self._seconds
        return pause if now + pause < self._until else None
