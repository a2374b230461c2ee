"""Reports of ended attempts, on their way to the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _wire as wire
from ._feed import Feed
from ._http import TransportError
from ._http_async import AsyncPool
from .context import Attempt, log
from .errors import KapelleError, Problem, TaskError
from .output import Output

_MOST = 500
"""Limit of reports in one request."""
_BYTES = 8 * 1024 * 1024
"""Size limit of a request of several reports, in bytes; the server accepts 32 MiB."""
_LARGEST = 32 * 1024 * 1024 - 1024
"""Size limit of a report, in bytes. The server would cut a larger one."""
_REST = 0.2
"""Seconds before free slots are told of again."""
_HOLD = 60.0
"""Seconds for which an answer is held for an unreachable server: longer than a restart, and than a lease."""

_JSON = {"content-type": "application/json"}
_REPEATABLE: wire.Call[Any] = wire.Call("POST", "", lambda raw: raw, harmless=True)
"""A repeated report is accepted once."""


@dataclass(frozen=True)
class Report:
    """Report of an attempt, in wire form."""

    attempt: Attempt
    outcome: str
    body: bytes


def succeed(attempt: Attempt, result: Any) -> Report:
    """Makes a success, or a failure when the answer is not JSON."""
    try:
        if not isinstance(result, Output):
            return _report(attempt, "succeed", b',"output":' + wire.encode(result))
        provenance = wire.encode(result.provenance())
        return _report(attempt, "succeed", b',"output":%b,"provenance":%b' % (wire.encode(result.value), provenance))
    except ValueError as error:
        return invalid(attempt, f"the worker's answer cannot be sent: {error}")


def invalid(attempt: Attempt, message: str) -> Report:
    """Makes a failure because the answer is unusable."""
    return fail(attempt, TaskError(message, category="invalid_output"))


def fail(attempt: Attempt, error: TaskError) -> Report:
    """Makes a failure."""
    # Text that cannot be encoded, such as half of a surrogate pair, must not prevent the report.
    message = error.message.encode("utf-8", "replace").decode("utf-8")
    body: dict[str, Any] = {"category": error.category, "message": message[:8_000]}
    if error.retryable is not None:
        body["retryable"] = error.retryable
    if error.retry_after is not None:
        body["retry_after_ms"] = round(error.retry_after * 1000)
    return _report(attempt, "fail", b',"error":' + wire.encode(body))


def release(attempt: Attempt) -> Report:
    """Makes a release without blame."""
    return _report(attempt, "release")


def _report(attempt: Attempt, outcome: str, fields: bytes = b"") -> Report:
    encoded = b'{"lease_token":"%b","outcome":"%b"%b}' % (attempt.token.encode(), outcome.encode(), fields)
    if len(encoded) > _LARGEST:
        raise ValueError(f"it has {len(encoded)} bytes, and {_LARGEST} are possible")
    return Report(attempt, outcome, encoded)


class Reporter:
    """Sends reports in batches. An unreachable server is tried again, so results are not lost."""

    def __init__(
        self, url: str, http: AsyncPool, feed: Feed, host: Callable[[], str], done: Callable[[Attempt], None]
    ) -> None:
        self._url = url
        self._http = http
        self._feed = feed
        self._host = host
        self._done = done
        self._queue: deque[Report] = deque()
        self._woken = asyncio.Event()
        self._over = False
        self._until = float("inf")

    def add(self, report: Report) -> None:
        """Adds a report."""
        self._queue.append(report)
        self._woken.set()

    def wake(self) -> None:
        """Has free slots told of."""
        self._woken.set()

    def end(self) -> None:
        """Ends the reports."""
        self._over = True
        self._woken.set()

    def hurry(self, seconds: float) -> None:
        """Limits the wait for an unreachable server, at a shutdown."""
        self._until = time.monotonic() + seconds

    async def work(self) -> None:
        """Sends reports until the end."""
        while True:
            gathered = self._gather()
            if gathered:
                await self._try(gathered)
            elif self._over:
                return
            elif self._feed.behind:
                try:
                    await self._once([])
                except (TransportError, KapelleError):
                    # A stream that is cut begins again with the free slots, so there is no need to insist.
                    await asyncio.sleep(_REST)
            else:
                self._woken.clear()
                await self._woken.wait()

    def _gather(self) -> list[Report]:
        gathered: list[Report] = []
        size = 0
        while self._queue and len(gathered) < _MOST:
            size += len(self._queue[0].body)
            if gathered and size > _BYTES:
                break
            gathered.append(self._queue.popleft())
        return gathered

    async def _try(self, gathered: list[Report]) -> None:
        try:
            await self._deliver(gathered)
        except Exception:
            # An unexpected kind of answer must not block later reports.
            log.exception("%d reports could not be delivered", len(gathered))
            for report in gathered:
                self._done(report.attempt)

    async def _deliver(self, reports: list[Report]) -> None:
        try:
            results = await self._send(reports)
        except Problem as problem:
            await self._refused(reports, problem)
            return
        except KapelleError as error:
            log.error("%d reports were given up, other attempts will follow: %s", len(reports), error)
            results = []
        again = []
        for result, report in zip(results, reports):
            if result["accepted"]:
                continue
            why = result.get("detail") or result.get("code")
            log.warning("the report of %s was refused: %s", report.attempt.name, why)
            if report.outcome == "succeed" and result.get("code") != "lease_lost":
                again.append(invalid(report.attempt, f"the server refused the answer: {why}"))
        for report in reports:
            if all(other.attempt is not report.attempt for other in again):
                self._done(report.attempt)
        if again:
            await self._deliver(again)

    async def _refused(self, reports: list[Report], problem: Problem) -> None:
        """Sends reports one by one; one that the server cannot take is reported as a failure and does not fail others."""
        if len(reports) > 1:
            for report in reports:
                await self._deliver([report])
            return
        report = reports[0]
        log.error("the report of %s was refused: %s", report.attempt.name, problem)
        if report.outcome == "succeed" and problem.status in (400, 413, 422):
            size = len(report.body)
            await self._deliver(
                [invalid(report.attempt, f"the server refused the answer of {size} bytes: {problem.detail}")]
            )
        else:
            self._done(report.attempt)

    async def _once(self, reports: list[Report]) -> Any:
        """Sends a request once. On a stream the free slots go along."""
        bodies = b",".join(report.body for report in reports)
        sent = self._feed.send(bodies)
        if sent:
            return await sent
        content = b'"reports":[' + bodies + b"]}"
        frame = self._feed.frame()
        if frame:
            stream, credit = frame
            content = f'{{"stream":{json.dumps(stream)},"credit":{credit},'.encode() + content
        else:
            content = b"{" + content
        path = f"/api/v1/hosts/{self._host()}/{'frame' if frame else 'report'}"
        call: wire.Call[Any] = wire.Call("POST", path, lambda raw: raw["results"], data=content)
        response = await self._http.request(call.method, path, _JSON, content, call.timeout())
        results = wire.read(self._url, call, response)
        if frame:
            self._feed.taken(frame)
        return results

    async def _send(self, reports: list[Report]) -> Any:
        again = None
        while True:
            try:
                return await self._once(reports)
            except (TransportError, Problem) as error:
                again = again or wire.Again(_HOLD, time.monotonic)
                pause = again.after(_REPEATABLE, error)
                if pause is None or time.monotonic() + pause > self._until:
                    if isinstance(error, Problem):
                        raise
                    # The trace of the underlying libraries would hide the message.
                    raise wire.unreachable(self._url, error) from None
            await asyncio.sleep(pause)
