"""Tasks, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from . import _calls as calls
from . import _ends
from ._asker import Asker, pages
from ._lines import NoStream
from ._options import known
from ._submitter import Raw, Submitter, packed
from .model import Json, NewTask, Page, SUBMIT_OPTIONS, Seconds, SubmitOptions, Task, id_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Tasks:
    """Tasks: one piece of work for a worker each, durable once submitted."""

    def __init__(self, asker: Asker, long_poll: bool) -> None:
        self._asker = asker
        self._long_poll = long_poll
        self._submitter = Submitter(asker.ask)

    @known("tasks.submit", SUBMIT_OPTIONS)
    def submit(
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
            raw: Raw = (self._asker.ask(calls.submit_one(task.body, task.key)))[0]
        else:
            raw = self._submitter.submit(task.body, task.delayed)
        return Task.read(raw, worker, options.get("queue") or "")

    @known("run", SUBMIT_OPTIONS)
    def run(
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
        return _ends.run(self._asker, packed(worker, input, idempotency_key, options), wait_timeout)

    @known("tasks.submit_batch")
    def submit_batch(self, tasks: Sequence[NewTask], *, idempotency_key: str | None = None) -> Sequence[str]:
        """Submits up to 10,000 tasks, all or none. Returns their ids in the order of the tasks."""
        return self._asker.ask(calls.submit_batch(tasks, idempotency_key))

    def get(self, id: str) -> Task:
        """A task and its state."""
        return self._asker.ask(calls.task(id))

    @known("tasks.wait")
    def wait(self, id: str | Task, timeout: Seconds | None = None) -> Task:
        """Waits for the end of a task, also through a restart of the server. Raises WaitTimeout after `timeout`
        (seconds)."""
        name = id_of(id)
        return self._asker.wait(name, lambda poll: calls.task(name, poll), timeout)

    @known("tasks.wait_all")
    def wait_all(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> list[Task]:
        """Waits for the ends of all, and returns them in the order asked for, however they ended. Raises WaitTimeout
        after `timeout` (seconds)."""
        names = [id_of(one) for one in ids]
        found = {task.id: task for task in self.as_completed(names, timeout)}
        return [found[name] for name in names]

    @known("tasks.as_completed")
    def as_completed(self, ids: Iterable[str | Task], timeout: Seconds | None = None) -> Iterator[Task]:
        """Each of the tasks once, as it ends. Raises WaitTimeout after `timeout` (seconds)."""
        names = list(dict.fromkeys(map(id_of, ids)))
        left = dict.fromkeys(names)
        try:
            if len(names) > 1 and not self._long_poll:
                for task in _ends.each(self._asker, names, timeout):
                    del left[task.id]
                    yield task
        except NoStream:
            pass
        yield from self._asker.each(list(left), calls.task, timeout)

    @known("tasks.list")
    def list(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        worker: str | None = None,
        dead: bool | None = None,
        steps: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Tasks, newest first: `state`, `queue`, `worker`, `dead`, `steps`, `limit`, `cursor`."""
        given = {"state": state, "queue": queue, "worker": worker, "dead": dead, "steps": steps, "limit": limit}
        return pages(self._asker, lambda at: calls.tasks({**given, "cursor": at}), cursor)

    def cancel(self, id: str, reason: str | None = None) -> Task:
        """Cancels a task. Raises Conflict when it has ended already."""
        return self._asker.ask(calls.cancel_task(id, reason))

    def retry(self, id: str) -> Task:
        """Retries a failed task."""
        return self._asker.ask(calls.retry_task(id))
