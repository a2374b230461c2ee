"""Tasks, for asyncio."""

from __future__ import annotations

from collections.abc import Iterable, AsyncIterator, Sequence
from typing import TYPE_CHECKING

from . import _calls as calls
from ._async_asker import AsyncAsker, pages
from ._async_ends import Ends
from ._lines import NoStream
from ._options import known
from ._submitter import AsyncSubmitter, Raw, packed
from .model import AsyncPage, Json, NewTask, SUBMIT_OPTIONS, Seconds, SubmitOptions, Task, id_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AsyncTasks:
    """Tasks: one piece of work for a worker each, durable once submitted."""

    def __init__(self, asker: AsyncAsker, long_poll: bool) -> None:
        self._asker = asker
        self._submitter = AsyncSubmitter(asker.ask)
        self._ends = Ends(asker, long_poll)

    @known("tasks.submit", SUBMIT_OPTIONS)
    async def submit(
        self,
        worker: str,
        input: Json = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Submits a task. Once this returns, the task survives a crash. The options are the fields of `NewTask`.

        Without an `idempotency_key` one is made up, so that asking again after a broken connection never makes two.
        Submits while a request is under way travel in the next, each with its own answer.
        """
        task = packed(worker, input, idempotency_key, options)
        if task.alone:
            raw: Raw = (await self._asker.ask(calls.submit_one(task.body, task.key)))[0]
        else:
            raw = (await self._submitter.submit(task.body, task.delayed)).raw
        return Task.read(raw, worker, options.get("queue") or "")

    @known("run", SUBMIT_OPTIONS)
    async def run(
        self,
        worker: str,
        input: Json = None,
        *,
        wait_timeout: Seconds | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> Task:
        """Submits a task and waits for its end, in one request where it is the only one. The options are those of `submit`.

        Raises WaitTimeout after `wait_timeout` (seconds): the task goes on.
        """
        return await self._ends.run(packed(worker, input, idempotency_key, options), wait_timeout)

    @known("tasks.submit_batch")
    async def submit_batch(self, tasks: Sequence[NewTask], *, idempotency_key: str | None = None) -> Sequence[str]:
        """Submits up to 10,000 tasks, all or none. Returns their ids in the order of the tasks."""
        return await self._asker.ask(calls.submit_batch(tasks, idempotency_key))

    async def get(self, id: str) -> Task:
        """A task and its state."""
        return await self._asker.ask(calls.task(id))

    @known("tasks.wait")
    async def wait(self, id: str | Task, timeout: Seconds | None = None) -> Task:
        """Waits for the end of a task, also through a restart of the server. Raises WaitTimeout after `timeout`
        (seconds)."""
        return await self._ends.wait(id_of(id), timeout)

    @known("tasks.wait_all")
    async def wait_all(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> list[Task]:
        """Waits for the ends of all, and returns them in the order asked for, however they ended. Raises WaitTimeout
        after `timeout` (seconds)."""
        names = [id_of(one) for one in ids]
        found = {task.id: task async for task in self.as_completed(names, timeout)}
        return [found[name] for name in names]

    @known("tasks.as_completed")
    async def as_completed(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> AsyncIterator[Task]:
        """Each of the tasks once, as it ends. Raises WaitTimeout after `timeout` (seconds)."""
        names = list(dict.fromkeys(map(id_of, ids)))
        left = dict.fromkeys(names)
        try:
            if len(names) > 1:
                async for task in self._ends.each(names, timeout):
                    del left[task.id]
                    yield task
        except NoStream:
            pass
        async for task in self._asker.each(list(left), calls.task, timeout):
            yield task

    @known("tasks.list")
    async def list(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        worker: str | None = None,
        dead: bool | None = None,
        steps: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AsyncPage[Task]:
        """Tasks, newest first: `state`, `queue`, `worker`, `dead`, `steps`, `limit`, `cursor`."""
        given = {"state": state, "queue": queue, "worker": worker, "dead": dead, "steps": steps, "limit": limit}
        return await pages(self._asker, lambda at: calls.tasks({**given, "cursor": at}), cursor)

    async def cancel(self, id: str, reason: str | None = None) -> Task:
        """Cancels a task. Raises Conflict when it has ended already."""
        return await self._asker.ask(calls.cancel_task(id, reason))

    async def retry(self, id: str) -> Task:
        """Retries a failed task."""
        return await self._asker.ask(calls.retry_task(id))
