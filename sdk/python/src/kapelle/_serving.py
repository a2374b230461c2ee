"""A running host: it claims, runs functions, and reports.

The protocol lives on one event loop, heartbeats in a thread (`_join`). Async functions run on the loop, others in a
thread each; a thread cannot be killed, so a function that ignores `ctx.cancelled` keeps its slot until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from . import _wire as wire
from ._failure import failure
from ._http import TransportError
from ._http_async import AsyncPool
from ._join import Heart, Membership
from ._place import Place
from ._report import Report, Reporter, fail, release, succeed
from ._threads import Threads
from .context import AsyncContext, Attempt, Clients, Context, log
from .errors import Cancelled, KapelleError, NotFound, Problem, TaskError
from .model import Json, ms

_LAST_WORDS = 3.0
"""Seconds for releasing attempts, after a second signal."""


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
        self._functions = functions
        self._free = slots
        self._slots = slots
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
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._end = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reporter = Reporter(place.url, http, lambda: membership.id, self._delivered)
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

    async def work(self, drain_timeout: float) -> None:
        """Works until its end is requested, and shuts down gracefully."""
        await self._until_end(asyncio.to_thread(self._membership.join, ""))
        if not self._membership.id:
            return
        self._ready()
        reporting = asyncio.create_task(self._reporter.work())
        self._heart.start()
        try:
            await self._claim_until_end()
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
            working.cancel()
            # An aborted poll is over only with its connection.
            await asyncio.gather(working, return_exceptions=True)

    async def _claim_until_end(self) -> None:
        failures = 0
        while not self._end.is_set():
            if self._free == 0:
                self._changed.clear()
                await self._until_end(self._changed.wait())
                continue
            id = self._membership.id
            try:
                tasks = await self._until_end(self._claim(id))
                failures = 0
            except NotFound:
                await self._until_end(asyncio.to_thread(self._membership.join, id))
                continue
            except Problem as problem:
                if problem.status not in (408, 429, 500, 503, 507):
                    raise
                await self._until_end(asyncio.sleep(problem.retry_after or 1.0))
                continue
            except KapelleError as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for the server: %s", error)
                await self._until_end(asyncio.sleep(pause(failures)))
                continue
            if tasks:
                await self._acknowledge(id, tasks)
                for raw in tasks:
                    self._begin(raw)

    async def _claim(self, id: str) -> list[Mapping[str, Any]]:
        wait = wire.LONGEST_POLL
        body = {"max_tasks": min(self._free, 1000), "wait_ms": ms(wait)}
        call = wire.Call("POST", f"/api/v1/hosts/{id}/claim", lambda raw: list(raw["tasks"]), body, wait=wait)
        claimed: list[Mapping[str, Any]] = await self._ask(call)
        return claimed

    async def _acknowledge(self, id: str, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Acknowledges tasks; otherwise the server would soon assign them to another host."""
        body = {"lease_tokens": [raw["lease_token"] for raw in tasks]}
        try:
            await self._ask(wire.Call("POST", f"/api/v1/hosts/{id}/ack", lambda raw: raw, body))
        except KapelleError as error:
            log.warning("claimed tasks could not be acknowledged: %s", error)

    async def _ask(self, call: wire.Call[Any]) -> Any:
        try:
            response = await self._http.request(
                call.method, call.target(), call.headers(), call.content(), call.timeout()
            )
        except TransportError as error:
            raise wire.unreachable(self._url, error) from error
        return wire.read(self._url, call, response)

    def _begin(self, raw: Mapping[str, Any]) -> None:
        attempt = Attempt(raw, self._place, self._clients)
        with self._lock:
            self._attempts[attempt.token] = attempt
        self._free -= 1
        task = asyncio.create_task(self._attempt(attempt), name=attempt.name)
        self._tasks[attempt.token] = task
        limit = self._loop.call_later(raw["timeout_ms"] / 1000, self._timed_out, attempt)

        def over(_: asyncio.Task[None]) -> None:
            limit.cancel()
            self._tasks.pop(attempt.token, None)
            self._free += 1
            self._changed.set()

        task.add_done_callback(over)

    async def _attempt(self, attempt: Attempt) -> None:
        """Runs one attempt: the function, and its report."""
        function = self._functions.get(attempt.raw["worker"])
        try:
            if function is None:
                self._tell(attempt, release(attempt))
                return
            report = succeed(attempt, await self._call(function, attempt))
        except asyncio.CancelledError as error:
            report = fail(attempt, failure(error))
        except Exception as error:
            if not isinstance(error, (TaskError, Cancelled)):
                log.exception("%s failed", attempt.name)
            report = fail(attempt, failure(error))
        # A stopped attempt has been reported, or needs no report.
        if not attempt.stopped.is_set():
            self._tell(attempt, report)

    async def _call(self, function: Callable[..., Any], attempt: Attempt) -> Any:
        ctx = AsyncContext(attempt) if _is_async(function) else Context(attempt)
        try:
            if isinstance(ctx, AsyncContext):
                return await function(ctx, attempt.raw["input"])
            return await self._in_thread(function, ctx, attempt.raw["input"])
        finally:
            await ctx._close()

    def _in_thread(self, function: Callable[..., Any], ctx: Context, input: Json) -> Awaitable[Any]:
        """Runs the function in a thread that does not keep the process alive."""
        future: asyncio.Future[Any] = self._loop.create_future()
        context = contextvars.copy_context()

        result: Any = None
        error: BaseException | None = None

        def settle() -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(result)

        def work() -> None:
            nonlocal result, error
            try:
                result = context.run(function, ctx, input)
            except Exception as raised:
                error = raised
            except BaseException as raised:
                error = RuntimeError(f"the function raised {raised!r}")

        def done() -> None:
            try:
                self._loop.call_soon_threadsafe(settle)
            except RuntimeError:  # The loop is closed: nobody waits for it any more.
                pass

        self._threads.run(ctx.task, work, done)
        return future

    def _tell(self, attempt: Attempt, report: Report) -> None:
        attempt.told = True
        self._reporter.add(report)

    def _delivered(self, attempt: Attempt) -> None:
        with self._lock:
            self._attempts.pop(attempt.token, None)

    def _under_way(self) -> list[Attempt]:
        with self._lock:
            return list(self._attempts.values())

    def _unwanted(self, attempt: Attempt) -> None:
        """Handles a cancelled or reassigned attempt, from the heartbeat thread."""
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
        if task and _is_async(self._functions.get(attempt.raw["worker"])):
            task.cancel()

    async def _drain(self, seconds: float) -> None:
        """Lets running attempts finish, and releases the rest."""
        attempts = {attempt.token for attempt in self._under_way() if not attempt.stopped.is_set()}
        tasks = {task for token, task in self._tasks.items() if token in attempts}
        if tasks:
            hurry = asyncio.ensure_future(self._hurry.wait())
            finishing = asyncio.ensure_future(asyncio.wait(tasks))
            await asyncio.wait({hurry, finishing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            finishing.cancel()
        for attempt in self._under_way():
            if attempt.token in self._tasks and attempt.stop("draining"):
                log.warning("%s is released", attempt.name)
                self._tell(attempt, release(attempt))
                self._interrupt(attempt)


def _is_async(function: Callable[..., Any] | None) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def pause(failures: int) -> float:
    """Returns the seconds until an unreachable server is tried again, also after days."""
    return min(0.1 * 2.0 ** min(failures, 5), 2.0)
