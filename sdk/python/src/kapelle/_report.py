"""Reports of ended attempts, on their way to the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _wire as wire
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
_HOLD = 60.0
"""Seconds for which an answer is held for an unreachable server: longer than a restart, and than a lease."""


@dataclass(frozen=True)
class Report:
    """Report of an attempt, in wire form."""

    attempt: Attempt
    outcome: str
    body: bytes


def succeed(attempt: Attempt, result: Any) -> Report:
    """Makes a success, or a failure when the answer is not JSON."""
    output = result if isinstance(result, Output) else Output(result)
    try:
        body = {"output": output.value}
        if isinstance(result, Output):
            body["provenance"] = output.provenance()
        return _report(attempt, "succeed", body)
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
    return _report(attempt, "fail", {"error": body})


def release(attempt: Attempt) -> Report:
    """Makes a release without blame."""
    return _report(attempt, "release", {})


def _report(attempt: Attempt, outcome: str, body: dict[str, Any]) -> Report:
    encoded = wire.encode({"lease_token": attempt.token, "outcome": outcome, **body})
    if len(encoded) > _LARGEST:
        raise ValueError(f"it has {len(encoded)} bytes, and {_LARGEST} are possible")
    return Report(attempt, outcome, encoded)


class Reporter:
    """Sends reports in batches. An unreachable server is tried again, so results are not lost."""

    def __init__(self, url: str, http: AsyncPool, host: Callable[[], str], done: Callable[[Attempt], None]) -> None:
        self._url = url
        self._http = http
        self._host = host
        self._done = done
        self._queue: asyncio.Queue[Report | None] = asyncio.Queue()
        self._until = float("inf")

    def add(self, report: Report) -> None:
        """Adds a report."""
        self._queue.put_nowait(report)

    def end(self) -> None:
        """Ends the reports."""
        self._queue.put_nowait(None)

    def hurry(self, seconds: float) -> None:
        """Limits the wait for an unreachable server, at a shutdown."""
        self._until = time.monotonic() + seconds

    async def work(self) -> None:
        """Sends reports until the end."""
        held: Report | None = None
        while True:
            first = held or await self._queue.get()
            held = None
            if first is None:
                return
            gathered, size = [first], len(first.body)
            while len(gathered) < _MOST and not self._queue.empty():
                following = self._queue.get_nowait()
                if following is None:
                    self._queue.put_nowait(None)
                    break
                size += len(following.body)
                if size > _BYTES:
                    held = following
                    break
                gathered.append(following)
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

    async def _send(self, reports: list[Report]) -> Any:
        content = b'{"reports":[' + b",".join(report.body for report in reports) + b"]}"
        headers = {"content-type": "application/json"}
        # A repeated report is accepted once.
        again = wire.Again(_HOLD, time.monotonic)
        while True:
            call = wire.Call("POST", f"/api/v1/hosts/{self._host()}/report", lambda raw: raw["results"], harmless=True)
            try:
                response = await self._http.request(call.method, call.path, headers, content, call.timeout())
                return wire.read(self._url, call, response)
            except (TransportError, Problem) as error:
                pause = again.after(call, error)
                if pause is None or time.monotonic() + pause > self._until:
                    if isinstance(error, Problem):
                        raise
                    # The trace of the underlying libraries would hide the message.
                    raise wire.unreachable(self._url, error) from None
            await asyncio.sleep(pause)
