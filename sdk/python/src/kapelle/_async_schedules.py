"""Schedules, for asyncio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import _calls as calls
from ._async_asker import AsyncAsker, pages
from ._options import known
from .model import Json, AsyncPage, Seconds


class AsyncSchedules:
    """Schedules: they start runs of a workflow, or submit tasks to a worker, at set times."""

    def __init__(self, asker: AsyncAsker) -> None:
        self._asker = asker

    @known("schedules.create")
    async def create(
        self,
        name: str,
        cron: str,
        *,
        workflow: str | None = None,
        worker: str | None = None,
        inputs: Json = None,
        timezone: str | None = None,
        catch_up: str | None = None,
        overlap: str | None = None,
        jitter: Seconds | None = None,
        replace: bool = False,
    ) -> Mapping[str, Any]:
        """Makes a schedule of a workflow or of a worker's tasks.

        `cron` is a line of cron with five fields, or six with the seconds first; `@daily` and the like; or a span such
        as `15m`. `timezone` is an IANA name (UTC by default). `inputs` may hold expressions such as
        `${{ fire.scheduled }}`. `catch_up` is the rule for missed times (`skip`, `one`, `all`), `overlap` the rule while
        an earlier fire is open (`allow`, `skip`, `queue`, `cancel_running`), `jitter` the longest random delay.
        `replace` lets it take the place of a schedule of that name.
        """
        return await self._asker.ask(
            calls.create_schedule(
                name, cron, workflow, worker, inputs, timezone, catch_up, overlap, jitter, replace
            )
        )

    @known("schedules.list")
    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> AsyncPage[Mapping[str, Any]]:
        """Those of the tenant, by name: `limit`, `cursor`."""
        return await pages(self._asker, lambda at: calls.schedules({"limit": limit, "cursor": at}), cursor)

    async def get(self, name: str) -> Mapping[str, Any]:
        """Returns one with its next times and its last fires."""
        return await self._asker.ask(calls.schedule(name))

    async def next(self, name: str, count: int | None = None) -> Sequence[str]:
        """Returns its next times, earliest first; five by default."""
        return await self._asker.ask(calls.next_fires(name, count))

    async def pause(self, name: str, reason: str | None = None) -> Mapping[str, Any]:
        """Pauses it: nothing is fired."""
        return await self._asker.ask(calls.gate_schedule(name, "pause", reason))

    async def resume(self, name: str, reason: str | None = None) -> Mapping[str, Any]:
        """Resumes it."""
        return await self._asker.ask(calls.gate_schedule(name, "resume", reason))

    async def fire(self, name: str) -> Mapping[str, Any]:
        """Fires it once, now. Returns what was started."""
        return await self._asker.ask(calls.fire_schedule(name))

    async def delete(self, name: str) -> None:
        """Deletes it. Its runs and tasks go on."""
        await self._asker.ask(calls.delete_schedule(name))
