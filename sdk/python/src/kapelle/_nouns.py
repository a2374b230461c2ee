"""Approvals, workers, dead letters, files and queues, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _calls as calls
from ._asker import Asker, pages
from ._options import known
from .model import Page, Task


class Approvals:
    """Steps that wait for a person."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Those that wait, oldest first."""
        return pages(self._asker, lambda _: calls.approvals())

    def approve(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Approves. `by` is recorded as the given name, beside the key that acts."""
        return self._asker.ask(calls.answer(id, "approve", comment, by))

    def deny(self, id: str, comment: str | None = None, by: str | None = None) -> Task:
        """Denies. `by` is recorded as the given name, beside the key that acts."""
        return self._asker.ask(calls.answer(id, "deny", comment, by))


class Workers:
    """Workers that tasks can be submitted for."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Each with what is known of it."""
        return pages(self._asker, lambda _: calls.workers())

    def status(self) -> Mapping[str, Any]:
        """Returns the state of workers and worker hosts."""
        return self._asker.ask(calls.workers_status())


class Dead:
    """Dead letters: failed tasks outside of runs that were neither retried nor discarded."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    @known("dead.list")
    def list(
        self,
        *,
        queue: str | None = None,
        worker: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Newest first: `queue`, `worker`, `limit`, `cursor`."""
        given = {"queue": queue, "worker": worker, "limit": limit}
        return pages(self._asker, lambda at: calls.dead({**given, "cursor": at}), cursor)

    def retry(self, id: str) -> Task:
        """Retries one, with its counts at zero."""
        return self._asker.ask(calls.retry_dead(id))

    def discard(self, id: str, reason: str | None = None) -> Task:
        """Marks one as dealt with."""
        return self._asker.ask(calls.discard_dead(id, reason))


class Files:
    """Files, which inputs refer to instead of holding them."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def give(self, data: bytes, name: str, media_type: str = "application/octet-stream") -> Mapping[str, Any]:
        """Uploads the bytes of a file, up to 64 MiB. Returns the value that an input holds for the file."""
        return self._asker.ask(calls.give_file(data, name, media_type))

    def get(self, file: Mapping[str, Any] | str) -> bytes:
        """Downloads an uploaded file, by the result of `give` or by its `sha256:...`."""
        return self._asker.ask(calls.file(file))


class Queues:
    """Queues."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def list(self) -> Page[Mapping[str, Any]]:
        """Each with counts and warnings."""
        return pages(self._asker, lambda _: calls.queues())

    def pause(self, name: str) -> None:
        """Pauses it: further tasks do not start."""
        self._asker.ask(calls.gate_queue(name, "pause"))

    def resume(self, name: str) -> None:
        """Resumes it."""
        self._asker.ask(calls.gate_queue(name, "resume"))
