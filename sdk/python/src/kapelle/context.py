"""Context of an attempt, for a worker's function."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _calls as calls
from ._place import Place
from .aio import AsyncClient
from .client import Client
from .errors import Cancelled, NoGateway

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

log = logging.getLogger("kapelle")


class Clients:
    """The clients that the contexts of a host share. Safe for threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._async_client: AsyncClient | None = None

    @property
    def client(self) -> Client:
        """The client for functions, made when it is first wanted."""
        with self._lock:
            if self._client is None:
                self._client = Client(self._place.url, self._place.token)
            return self._client

    @property
    def async_client(self) -> AsyncClient:
        """The client for async functions, made when it is first wanted."""
        with self._lock:
            if self._async_client is None:
                self._async_client = AsyncClient(self._place.url, self._place.token)
            return self._async_client

    async def close(self) -> None:
        """Ends their connections."""
        if self._client:
            self._client.close()
        if self._async_client:
            await self._async_client.close()


class Attempt:
    """State that an attempt shares between its function, the heartbeats and the report. Safe for threads."""

    def __init__(self, raw: Mapping[str, Any], place: Place, clients: Clients | None = None) -> None:
        self.raw = raw
        self.place = place
        self.clients = clients or Clients(place)
        self.token: str = raw["lease_token"]
        self.stopped = threading.Event()
        self.why = ""
        self.told = False
        """Marks its report as sent."""
        self._lock = threading.Lock()
        self._progress: tuple[float, str | None] | None = None
        self.since = time.monotonic()
        self.arrived = False
        """A heartbeat has told the server that it has arrived."""

    @property
    def name(self) -> str:
        """Returns its name for the log."""
        return f"{self.raw['id']} ({self.raw['worker']}, attempt {self.raw['attempt']})"

    def stop(self, why: str) -> bool:
        """Cancels the attempt. Returns False when it was already cancelled."""
        with self._lock:
            if self.stopped.is_set():
                return False
            self.why = why
            self.stopped.set()
            return True

    def tell(self, done: float, message: str | None) -> None:
        """Sets the progress."""
        if not 0.0 <= done <= 1.0:
            raise ValueError(f"progress: {done} is not within 0 and 1")
        with self._lock:
            self._progress = (float(done), message)

    def beat(self) -> dict[str, Any]:
        """Returns its part of a heartbeat."""
        with self._lock:
            beat: dict[str, Any] = {"lease_token": self.token}
            if self._progress:
                beat["progress"], message = self._progress
                if message is not None:
                    beat["message"] = message
            return beat


class _Base:
    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        raw = attempt.raw
        self.task: str = raw["id"]
        self.attempt: int = raw["attempt"]
        """Number of the attempt, from 1."""
        self.last_attempt: bool = raw["last_attempt"]
        """Whether no further attempt follows a failure."""
        self.worker: str = raw["worker"]
        self.run: str | None = raw.get("run")
        self.step: str | None = raw.get("step")
        self.timeout: float = raw["timeout_ms"] / 1000
        """Timeout of the attempt in seconds."""
        self._llm: Any = None

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A log whose records name task and attempt."""
        return logging.LoggerAdapter(log, {"task": self.task, "attempt": self.attempt})

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self.task

    @property
    def run_id(self) -> str | None:
        """The id of the run that the task is a step of. None for a task of its own."""
        return self.run

    @property
    def cancelled(self) -> bool:
        """Tells whether the attempt was cancelled: its answer would be refused. Stop working on it."""
        return self._attempt.stopped.is_set()

    @property
    def cancel_reason(self) -> str | None:
        """Returns the reason: `not wanted` (cancelled, or assigned to another host), `timeout`, or `draining`."""
        return self._attempt.why if self.cancelled else None

    def check(self) -> None:
        """Raises Cancelled when the attempt was cancelled."""
        if self.cancelled:
            raise Cancelled(self._attempt.why)

    def progress(self, done: float, message: str | None = None) -> None:
        """Reports the progress of the attempt (0 to 1). It is sent with the next heartbeat and costs nothing here."""
        self._attempt.tell(done, message)

    @property
    def gateway(self) -> tuple[str, str]:
        """Returns address (base URL) and token of the model gateway, for clients other than OpenAI's."""
        url, token = self._attempt.raw.get("gateway_url"), self._attempt.raw.get("gateway_token")
        if not url or not token:
            raise NoGateway(f"the server {self._attempt.place.url} offers no model gateway for {self.task}")
        return (self._attempt.place.url + url if url.startswith("/") else url), token


class Context(_Base):
    """Context of an attempt, for a worker's function."""

    def sleep(self, seconds: float) -> None:
        """Sleeps, and raises Cancelled as soon as the attempt is cancelled."""
        self._attempt.stopped.wait(seconds)
        self.check()

    def file(self, file: Mapping[str, Any] | str) -> bytes:
        """The bytes of a file that the input refers to, by what stands there or by its `sha256:...`."""
        return self._attempt.clients.client._asker.ask(calls.host_file(file))

    @property
    def client(self) -> Client:
        """A client of the host's server, with the rights of the host's key.

        A key of the role `worker` may neither submit nor read. A later attempt does again what this one did, so submit
        with a key such as `idempotency_key=f"{ctx.task_id}/letter"`.
        """
        return self._attempt.clients.client

    @property
    def llm(self) -> OpenAI:
        """Returns a client of the `openai` package (pip install 'kapelle[openai]') that uses the server's gateway, with a
        token of this attempt alone. The gateway retries, so the client does not."""
        url, token = self.gateway
        if self._llm is None:
            self._llm = _openai().OpenAI(base_url=url, api_key=token, max_retries=0)
        llm: OpenAI = self._llm
        return llm

    def _close(self) -> None:
        """Ends the client's token with the attempt."""
        if self._llm is not None:
            self._llm.close()


class AsyncContext(_Base):
    """Context of an attempt, for a worker's async function. The function is cancelled (asyncio.CancelledError) with the
    attempt."""

    async def file(self, file: Mapping[str, Any] | str) -> bytes:
        """The bytes of a file that the input refers to, by what stands there or by its `sha256:...`."""
        return await self._attempt.clients.async_client._asker.ask(calls.host_file(file))

    @property
    def client(self) -> AsyncClient:
        """A client of the host's server, with the rights of the host's key.

        A key of the role `worker` may neither submit nor read. A later attempt does again what this one did, so submit
        with a key such as `idempotency_key=f"{ctx.task_id}/letter"`.
        """
        return self._attempt.clients.async_client

    @property
    def llm(self) -> AsyncOpenAI:
        """Returns an async client of the `openai` package (pip install 'kapelle[openai]') that uses the server's gateway,
        with a token of this attempt alone. The gateway retries, so the client does not."""
        url, token = self.gateway
        if self._llm is None:
            self._llm = _openai().AsyncOpenAI(base_url=url, api_key=token, max_retries=0)
        llm: AsyncOpenAI = self._llm
        return llm

    async def _close(self) -> None:
        """Ends the client's token with the attempt."""
        if self._llm is not None:
            await self._llm.close()


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise NoGateway("ctx.llm needs the package openai: pip install 'kapelle[openai]'") from error
    return openai
