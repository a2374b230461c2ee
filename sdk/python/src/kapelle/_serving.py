"""A running host: it takes tasks, runs functions, and reports.

The protocol lives on one event loop, heartbeats in a thread (`_join`). Async functions run on the loop, others in a
thread each; a thread cannot be killed, so a function that ignores `ctx.cancelled` keeps its slot until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from . import _wire as wire
from ._failure import failure
from ._feed import Feed
from ._http import TransportError
from ._http_async import AsyncPool
from ._join import Heart, Membership
from ._lines import NoStream
from ._place import Place
from ._report import Report, Reporter, fail, release, succeed
from ._threads import Threads
from .context import AsyncContext, Attempt, Clients, Context, log
from .errors import Cancelled, KapelleError, NotFound, Problem, TaskError
from .model import ms

_LAST_WORDS = 3.0
"""Seconds for releasing attempts, after a second signal."""
_AGAIN = 0.1
"""Seconds between two cancels of what does not end."""
_TIDY = 1.0
"""Seconds for the functions of released attempts to return."""
_SHORT = 1.0
"""Seconds of a stream that ended at once. The next is opened after a rest."""
_REST = 0.2
_PASSING = frozenset({408, 429, 500, 503, 507})
"""Statuses of refusals of a claim that pass."""


class Serving:
    """A running host."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        slots: int,
        membership: Membership,
        http: AsyncPool,
        place: Place,
        ready: Callable[[], None],
    ) -> None:
        self._functions = {name: (function, _is_async(function)) for name, function in functions.items()}
        self._free = slots
        self._membership = membership
        self._http = http
        self._place = place
        self._ready = ready
        self._clients = Clients(place)
        self._threads = Threads()
        self._url = place.url
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        # Kept until their reports are delivered, so that their leases are renewed until then.
        self._attempts: dict[str, Attempt] = {}
        # Attempts whose functions run, with the tasks of async ones and the ends of their time.
        self._working: dict[str, Attempt] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._limits: dict[str, asyncio.TimerHandle] = {}
        # Attempts whose threads have ended, and whether the loop has been told.
        self._ended: deque[tuple[Attempt, Report]] = deque()
        self._told = False
        self._changed = asyncio.Event()
        self._end = asyncio.Event()
        self._hurry = asyncio.Event()
        self._feed = Feed(place.url, http, self._take, self._cancelled)
        self._reporter = Reporter(place.url, http, self._feed, lambda: membership.id, self._delivered)
        self._heart = Heart(membership, self._under_way, self._unwanted)

    def end(self) -> None:
        """Requests the end; a second request ends at once."""
        if not self._end.is_set():
            log.info("stopping: running attempts are finished; ask again to release them")
            self._end.set()
            self._membership.leaving.set()
            return
        self._reporter.hurry(_LAST_WORDS)
        self._hurry.set()

    async def work(self, drain_timeout: float, long_poll: bool) -> None:
        """Works until its end is requested, and shuts down gracefully."""
        await self._until_end(asyncio.to_thread(self._membership.join, ""))
        if not self._membership.id:
            return
        self._ready()
        reporting = asyncio.create_task(self._reporter.work())
        self._heart.start()
        try:
            await self._take_until_end(long_poll)
        finally:
            await self._drain(drain_timeout)
            self._reporter.end()
            await reporting
            self._heart.end()
            await asyncio.to_thread(self._membership.leave)
            await self._clients.close()
            self._threads.close()

    async def _until_end(self, work: Awaitable[Any]) -> Any:
        """Returns the result, or None when its end was requested before."""
        working = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            ending.cancel()
            # An aborted poll is over only with its connection. A cancel that meets the end of a connect gets lost in
            # `asyncio.wait_for` before Python 3.12, so it is repeated.
            while not working.done():
                working.cancel()
                await asyncio.wait({working}, timeout=_AGAIN)
            await asyncio.gather(working, return_exceptions=True)

    async def _take_until_end(self, long_poll: bool) -> None:
        """Takes tasks and begins them. Polls where no stream gets through."""
        failures = late = 0
        first = way = "poll" if long_poll else "duplex"
        while not self._end.is_set():
            id = self._membership.id
            try:
                await self._until_end(self._poll(id) if way == "poll" else self._hear(way, id))
                failures = late = 0
            except NoStream as error:
                if way == "duplex":
                    way = "stream"
                    continue
                # A busy server may be late once.
                late += error.late
                if not error.late or late > 1:
                    log.warning("polling for tasks, since they cannot be pushed: %s", error)
                    way = "poll"
            except NotFound:
                await self._until_end(asyncio.to_thread(self._membership.join, id))
                way = first
            except Problem as problem:
                if problem.status not in _PASSING:
                    raise
                await self._until_end(asyncio.sleep(problem.retry_after or 1.0))
            except KapelleError as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for the server: %s", error)
                await self._until_end(asyncio.sleep(pause(failures)))

    async def _hear(self, way: str, id: str) -> None:
        """Takes what the server pushes, until the stream ends."""
        began = self._loop.time()
        await self._feed.hear(way, id, self._free)
        if self._loop.time() - began < _SHORT:
            await asyncio.sleep(_REST)

    async def _poll(self, id: str) -> None:
        """Claims once, as soon as a slot is free."""
        if self._free == 0:
            self._changed.clear()
            await self._changed.wait()
            return
        wait = wire.LONGEST_POLL
        body = {"max_tasks": min(self._free, 1000), "wait_ms": ms(wait)}
        call: wire.Call[Sequence[Mapping[str, Any]]] = wire.Call(
            "POST", f"/api/v1/hosts/{id}/claim", lambda raw: list(raw["tasks"]), body, wait=wait
        )
        try:
            response = await self._http.request(
                call.method, call.target(), call.headers(), call.content(), call.timeout()
            )
        except TransportError as error:
            raise wire.unreachable(self._url, error) from error
        self._take(wire.read(self._url, call, response))

    def _take(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Begins attempts. Their first heartbeat tells the server that they have arrived, unless a report comes before."""
        begun = [Attempt(raw, self._place, self._clients) for raw in tasks]
        with self._lock:
            self._attempts.update((attempt.token, attempt) for attempt in begun)
        self._working.update((attempt.token, attempt) for attempt in begun)
        self._free -= len(begun)
        for attempt in begun:
            self._begin(attempt)

    def _begin(self, attempt: Attempt) -> None:
        raw = attempt.raw
        self._limits[attempt.token] = self._loop.call_later(raw["timeout_ms"] / 1000, self._timed_out, attempt)
        function, is_async = self._functions.get(raw["worker"], (None, False))
        if function is None:
            self._over(attempt, release(attempt))
        elif is_async:
            self._tasks[attempt.token] = asyncio.create_task(self._attempt(function, attempt), name=attempt.name)
        else:
            self._in_thread(function, attempt)

    async def _attempt(self, function: Callable[..., Any], attempt: Attempt) -> None:
        """Runs an async function."""
        ctx = AsyncContext(attempt)
        try:
            report = succeed(attempt, await function(ctx, attempt.raw["input"]))
        except (Exception, asyncio.CancelledError) as error:
            report = _failed(attempt, error)
        await ctx._close()
        self._over(attempt, report)

    def _in_thread(self, function: Callable[..., Any], attempt: Attempt) -> None:
        """Runs a function in a thread that does not keep the process alive."""
        context = contextvars.copy_context()
        report: Report

        def work() -> None:
            nonlocal report
            ctx = Context(attempt)
            try:
                report = succeed(attempt, context.run(function, ctx, attempt.raw["input"]))
            except BaseException as error:
                kind = error if isinstance(error, Exception) else RuntimeError(f"the function raised {error!r}")
                report = _failed(attempt, kind)
            ctx._close()

        def done() -> None:
            self._ended.append((attempt, report))
            if not self._told:
                # Ends that come before the loop looks need not be told of.
                self._told = True
                try:
                    self._loop.call_soon_threadsafe(self._collect)
                except RuntimeError:  # The loop is closed: nobody waits for it any more.
                    pass

        self._threads.run(attempt.raw["id"], work, done)

    def _collect(self) -> None:
        """Takes the attempts whose threads have ended."""
        self._told = False
        while self._ended:
            self._over(*self._ended.popleft())

    def _over(self, attempt: Attempt, report: Report) -> None:
        """Ends an attempt whose function has returned."""
        token = attempt.token
        self._limits.pop(token).cancel()
        self._tasks.pop(token, None)
        self._working.pop(token, None)
        self._free += 1
        # Before the report, so that one request tells of both.
        self._feed.freed()
        # A stopped attempt has been reported, or needs no report.
        if attempt.stopped.is_set():
            self._reporter.wake()
        else:
            self._tell(attempt, report)
        self._changed.set()

    def _tell(self, attempt: Attempt, report: Report) -> None:
        attempt.told = True
        self._reporter.add(report)

    def _delivered(self, attempt: Attempt) -> None:
        with self._lock:
            self._attempts.pop(attempt.token, None)

    def _under_way(self) -> list[Attempt]:
        with self._lock:
            return list(self._attempts.values())

    def _cancelled(self, tokens: Sequence[str]) -> None:
        """Handles cancelled or reassigned attempts, from the stream."""
        for token in tokens:
            attempt = self._attempts.get(token)
            if attempt:
                self._unwanted(attempt)

    def _unwanted(self, attempt: Attempt) -> None:
        """Handles a cancelled or reassigned attempt. Also called from the heartbeat thread."""
        # If its report was sent, the answer to that decides.
        if not attempt.told and attempt.stop("not wanted"):
            log.warning("%s is not wanted any more: cancelled, or given to another host", attempt.name)
            self._delivered(attempt)
            self._loop.call_soon_threadsafe(self._interrupt, attempt)

    def _timed_out(self, attempt: Attempt) -> None:
        if attempt.stop("timeout"):
            took = f"the attempt took longer than {attempt.raw['timeout_ms']} ms"
            self._tell(attempt, fail(attempt, TaskError(took, category="timeout")))
            self._interrupt(attempt)

    def _interrupt(self, attempt: Attempt) -> None:
        """Cancels async functions; others see it in their context."""
        task = self._tasks.get(attempt.token)
        if task:
            task.cancel()

    async def _drain(self, seconds: float) -> None:
        """Lets running attempts finish, and releases the rest."""
        wanted = {token for token, attempt in self._working.items() if not attempt.stopped.is_set()}
        if wanted:
            hurry = asyncio.ensure_future(self._hurry.wait())
            finishing = asyncio.ensure_future(self._finished(wanted))
            await asyncio.wait({hurry, finishing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            finishing.cancel()
        released = set()
        for attempt in list(self._working.values()):
            if attempt.stop("draining"):
                log.warning("%s is released", attempt.name)
                self._tell(attempt, release(attempt))
                self._interrupt(attempt)
                released.add(attempt.token)
        if released and not self._hurry.is_set():
            # Functions that look at their context learn of it before the process ends with their threads.
            tidying = asyncio.ensure_future(self._finished(released))
            await asyncio.wait({tidying}, timeout=_TIDY)
            tidying.cancel()

    async def _finished(self, tokens: set[str]) -> None:
        """Waits for attempts."""
        while not tokens.isdisjoint(self._working):
            self._changed.clear()
            await self._changed.wait()


def _failed(attempt: Attempt, error: BaseException) -> Report:
    if not isinstance(error, (TaskError, Cancelled, asyncio.CancelledError)):
        log.error("%s failed", attempt.name, exc_info=error)
    return fail(attempt, failure(error))


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def pause(failures: int) -> float:
    """Returns the seconds until an unreachable server is tried again, also after days."""
    return min(0.1 * 2.0 ** min(failures, 5), 2.0)
