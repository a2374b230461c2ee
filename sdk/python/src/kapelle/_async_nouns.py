"""Approvals, workers, dead letters, files and queues, for asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _calls as calls
from ._async_asker import AsyncAsker, pages
from ._options import known
from .model import AsyncPage, Task


class AsyncApprovals:
    """Steps that wait for a person."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    async def list(self) -> AsyncPage[Mapping[str, Any]]:
        """Those that wait, oldest first."""
        return await pages(self._asker, lambda _: calls.approvals())

    async def approve(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Approves. `by` is recorded as the given name, beside the key that acts."""
        return await self._asker.ask(calls.answer(id, "approve", comment, by))

    async def deny(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Denies. `by` is recorded as the given name, beside the key that acts."""
        return await self._asker.ask(calls.answer(id, "deny", comment, by))


class AsyncWorkers:
    """Workers that tasks can be submitted for."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    async def list(self) -> AsyncPage[Mapping[str, Any]]:
        """Each with what is known of it."""
        return await pages(self._asker, lambda _: calls.workers())

    async def status(self) -> Mapping[str, Any]:
        """Returns the state of workers and worker hosts."""
        return await self._asker.ask(calls.workers_status())


class AsyncDead:
    """Dead letters: failed tasks outside of runs that were neither retried nor discarded."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    @known("dead.list")
    async def list(
        self,
        *,
        queue: str | None = None,
        worker: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPage[Task]:
        """Newest first: `queue`, `worker`, `limit`, `cursor`."""
        given = {"queue": queue, "worker": worker, "limit": limit}
        return await pages(self._asker, lambda at: calls.dead({**given, "cursor": at}), cursor)

    async def retry(self, id: str) -> Task:
        """Retries one, with its counts at zero."""
        return await self._asker.ask(calls.retry_dead(id))

    async def discard(self, id: str, reason: str | None = None) -> Task:
        """Marks one as dealt with."""
        return await self._asker.ask(calls.discard_dead(id, reason))


class AsyncFiles:
    """Files, which inputs refer to instead of holding them."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    async def give(self, data: bytes, name: str, media_type: str = "application/octet-stream") -> Mapping[str, Any]:
        """Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file."""
        return await self._asker.ask(calls.give_file(data, name, media_type))

    async def get(self, file: Mapping[str, Any] | str) -> bytes:
        """Downloads an uploaded file, by the result of `give` or by its `sha256:...`."""
        return await self._asker.ask(calls.file(file))


class AsyncQueues:
    """Queues."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    async def list(self) -> AsyncPage[Mapping[str, Any]]:
        """Each with counts and warnings."""
        return await pages(self._asker, lambda _: calls.queues())

    async def pause(self, name: str) -> None:
        """Pauses it: further tasks do not start."""
        await self._asker.ask(calls.gate_queue(name, "pause"))

    async def resume(self, name: str) -> None:
        """Resumes it."""
        await self._asker.ask(calls.gate_queue(name, "resume"))
