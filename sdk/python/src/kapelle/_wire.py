"""Requests and answers without a socket: their contents, parsing and retries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from ._http import AnswerTimeout, ConnectError, ConnectTimeout, Response, TransportError
from .errors import ItemProblem, KapelleError, Problem, Unreachable, problem

T = TypeVar("T")

ANSWER = 30.0
"""Timeout of an answer in seconds, besides a requested wait."""
LONGEST_POLL = 20.0
"""Seconds of one poll; a longer wait has several."""
PATIENCE = 60.0
"""Seconds for which waits and streams continue without the server: longer than a restart."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


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

    def target(self) -> str:
        """Its path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def timeout(self) -> float:
        """Seconds of silence after which it is given up."""
        return self.wait + ANSWER


def encode(value: Any) -> bytes:
    """Encodes as JSON in UTF-8. Raises ValueError for values that JSON does not have."""
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from error


def read(url: str, call: Call[T], response: Response) -> T:
    """Returns what the server answered. Raises the problem that it reported."""
    if not response.ok:
        raise refused(url, response)
    try:
        if call.binary:
            return call.read(response.body)
        return call.read(json.loads(response.body) if response.body else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(
            f"{url}: the answer to {call.method} {call.path} is not what was expected: {error!r}"
        ) from error


def refused(url: str, response: Response) -> KapelleError:
    """The refusal as an exception."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/problem+json"):
        try:
            raw = json.loads(response.body)
            after = response.headers.get("retry-after")
            wait = float(after) if after and after.isdigit() else None
            items = {
                item["index"]: ItemProblem(item["code"], item["detail"], item.get("field"))
                for item in raw.get("errors", ())
            }
            title, total = raw.get("title", ""), raw.get("errors_total", len(items))
            return problem(response.status, raw["code"], raw["detail"], title, wait, items, total)
        except (ValueError, KeyError, TypeError):
            pass
    what = f"{url} answered {response.status}" + (f" with {kind}" if kind else "")
    strange = Unreachable(f"{what}: this does not look like a Kapelle server; is the address right?")
    strange.status = response.status
    return strange


def unreachable(url: str, error: Exception) -> Unreachable:
    """Describes a failure of a request for a person."""
    what = str(error) or type(error).__name__
    if isinstance(error, (ConnectTimeout, AnswerTimeout)):
        what = "no connection in time" if isinstance(error, ConnectTimeout) else "no answer in time"
    elif isinstance(error, ConnectError) and ("refused" in what or "Connect call failed" in what):
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
        elif isinstance(error, ConnectError) or (isinstance(error, TransportError) and call.repeatable):
            pause = self._pause * random.uniform(0.5, 1.0)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        else:
            return None
        now = self._clock()
        if self._until is None:
            self._until = now + self._seconds
        return pause if now + pause < self._until else None
