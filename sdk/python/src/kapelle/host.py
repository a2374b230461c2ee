"""A worker host: functions under worker names, and the process that runs them (`_serving`)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from ._http_async import AsyncPool
from ._join import Membership
from ._options import known, known_fields, texts
from ._place import find
from ._serving import Serving
from .context import log
from .errors import KapelleError, WaitTimeout
from .model import PerKey, Retry, Seconds, ms, rate_text, seconds

F = TypeVar("F", bound=Callable[..., Any])


class _Ready:
    """The registration of a host. Any number of threads and coroutines may wait for it."""

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[None] = concurrent.futures.Future()

    def __await__(self) -> Generator[Any, None, None]:
        waiting = asyncio.wrap_future(self.future)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Shielded: one waiter that is cancelled must not end the wait of others.
        return asyncio.shield(waiting).__await__()

    def settle(self, error: BaseException | None = None) -> None:
        """Notes that the host is registered, or why it will not be. Only the first call counts."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


@known_fields
class Host:
    """A process that works on tasks.

    `url` and `token` are found as for `Client`; a key with the role `worker` is enough. `slots` limits the running tasks,
    `queues` the queues whose tasks it claims, `labels` are those of the host. At a shutdown running attempts have
    `drain_timeout` seconds to finish; the rest is released. With `long_poll` it polls for tasks even where the server
    could push them, for tests and for proxies that break streams.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        name: str | None = None,
        slots: int = 4,
        queues: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        drain_timeout: Seconds = 30.0,
        long_poll: bool = False,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots: {slots} is less than 1")
        self._given = (url, token)
        self._name = name or f"python {socket.gethostname()} {os.getpid()}"
        self._slots = slots
        self._queues = texts("queues", queues)
        self._labels = dict(labels or {})
        self._drain_timeout = seconds(drain_timeout)
        self._long_poll = long_poll
        self._functions: dict[str, Callable[..., Any]] = {}
        self._known: list[dict[str, Any]] = []
        self._ending: Callable[[], None] | None = None
        self._ended_early = False
        self._ready = _Ready()

    @known("host.worker")
    def worker(
        self,
        name: str,
        *,
        description: str = "",
        queue: str | None = None,
        input: Mapping[str, Any] | None = None,
        output: Mapping[str, Any] | None = None,
        timeout: Seconds | None = None,
        retry: Retry | Mapping[str, Any] | int | None = None,
        requires: str | Sequence[str] = (),
        per_key: PerKey | Mapping[str, Any] | int | None = None,
        rate: str | None = None,
    ) -> Callable[[F], F]:
        """Registers the function `f(ctx, input)` under a worker's name.

        `input` and `output` are JSON Schemas: what does not fit is refused when it is submitted. `queue`, `timeout`
        (seconds) and `retry` (`3` for three attempts) hold for tasks that do not say otherwise. Only hosts that have all
        labels of `requires` get its tasks. `per_key` limits the tasks of one `group` that run at once, `rate` ("60/minute",
        "5/s", "100/15m") the attempts that begin within a time, on all hosts together.
        """

        def register(function: F) -> F:
            if not callable(function):
                raise TypeError(f"worker `{name}`: a function f(ctx, input) was expected")
            try:
                inspect.signature(function).bind(None, None)
            except TypeError:
                raise TypeError(f"worker `{name}`: {function!r} must take (ctx, input)") from None
            if name in self._functions:
                raise ValueError(f"worker `{name}` is registered twice")
            known = {
                "description": description,
                "queue": queue,
                "input": input,
                "output": output,
                "timeout_ms": ms(timeout),
                "retry": None if retry is None else Retry.of(retry).wire(),
                "requires": texts("requires", requires) or None,
                "per_key": None if per_key is None else PerKey.of(per_key).wire(),
                "rate": None if rate is None else rate_text(rate),
            }
            self._functions[name] = function
            self._known.append({"name": name, **{key: value for key, value in known.items() if value is not None}})
            return function

        return register

    def run(self) -> None:
        """Works until SIGTERM or Ctrl-C: then running attempts finish; after a second signal they are released at once.

        Raises Problem when the server refuses this host, for instance because the token is wrong.
        """
        if not logging.getLogger().handlers and not log.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
            log.addHandler(handler)
            log.setLevel(logging.INFO)
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.stop)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.stop))
        await self.serve()

    @property
    def ready(self) -> Awaitable[None]:
        """Done once the server knows the host's workers, so that their tasks can be submitted: `await host.ready`.

        Raises what kept the host from being registered.
        """
        return self._ready

    def wait_ready(self, timeout: Seconds | None = None) -> None:
        """Waits in a thread for what `ready` is. Raises WaitTimeout after `timeout` (seconds)."""
        try:
            self._ready.future.result(None if timeout is None else seconds(timeout))
        except concurrent.futures.TimeoutError:
            if self._ready.future.done():
                raise
            assert timeout is not None
            raise WaitTimeout(f"the host is not registered within {seconds(timeout):g} s; it goes on trying") from None

    def _forget(self) -> None:
        """Forgets how it was served before, so that `wait_ready` waits for what comes."""
        if self._ready.future.done():
            self._ready = _Ready()
        self._ended_early = False

    def stop(self) -> None:
        """Requests the end: claims stop and running attempts finish. A second request releases them at once.
        Can be called from any thread, also before `serve` has begun."""
        if self._ending:
            self._ending()
        else:
            self._ended_early = True

    async def serve(self) -> None:
        """Works on the running event loop until `stop`."""
        if self._ready.future.done():
            self._ready = _Ready()
        ready = self._ready
        try:
            await self._serve(ready)
            ready.settle(KapelleError("the host ended before it was registered"))
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            ready.settle(KapelleError("the host was cancelled before it was registered") if cancelled else error)
            raise

    async def _serve(self, ready: _Ready) -> None:
        if not self._functions:
            raise ValueError("the host serves no worker: register functions with @host.worker(NAME)")
        place = find(*self._given)
        introduction = {
            "name": self._name,
            "slots": self._slots,
            "workers": self._known,
            "queues": self._queues,
            "labels": self._labels,
            "ack": True,
        }
        http = AsyncPool(place.url, place.token, proxies=not place.local)
        serving = Serving(self._functions, self._slots, Membership(place, introduction), http, place, ready.settle)
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.call_soon_threadsafe(serving.end)

        self._ending = end
        try:
            if not self._ended_early:
                await serving.work(self._drain_timeout, self._long_poll)
        finally:
            self._ending = None
            await http.close()
