"""The server's answers as plain objects. `raw` has the whole answer, with the fields of later servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, TypedDict, TypeVar, Union, overload

from ._options import known_fields, texts
from .errors import RunFailed, TaskCancelled, TaskFailed

Json = Any
"""A JSON value: None, bool, int, float, str, lists and dicts of it."""

Seconds = Union[float, timedelta]
"""A time: a number of seconds, or a timedelta."""

T = TypeVar("T")

_TASK_ENDED = frozenset({"succeeded", "failed", "cancelled", "discarded", "skipped"})
_RUN_ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Failure:
    """Failure of a task or run."""

    category: str
    message: str
    retryable: bool | None = None
    retry_after: float | None = None

    @staticmethod
    def read(raw: Mapping[str, Any] | None) -> Failure | None:
        if not raw:
            return None
        ms = raw.get("retry_after_ms")
        return Failure(raw["category"], raw["message"], raw.get("retryable"), None if ms is None else ms / 1000)


@dataclass(frozen=True)
class Task:
    """A task and its state."""

    id: str
    state: str
    """`scheduled`, `ready`, `running`, `retrying`, `held`, `parked`, `waiting`, `succeeded`, `failed`, `cancelled`,
    `discarded` or `skipped`."""
    attempt: int = 0
    worker: str = ""
    queue: str = ""
    """Empty in what `submit` returns when the submit named none: the server then takes that of the worker."""
    output: Json = None
    error: Failure | None = None
    reason: str | None = None
    """Reason why it waits, or why it was ended."""
    run: str | None = None
    degraded: bool = False
    """Whether the answer is poorer than requested."""
    cost_nanousd: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Tells whether its state is final."""
        return self.state in _TASK_ENDED

    def result(self) -> Json:
        """Returns the output of a task that succeeded.

        Raises TaskFailed or TaskCancelled when it did not, and ValueError when it has not ended.
        """
        if self.state == "succeeded":
            return self.output
        if not self.ended:
            raise ValueError(f"{self.id} is {self.state}: wait for it first")
        raise (TaskCancelled if self.state == "cancelled" else TaskFailed)(self)

    @staticmethod
    def read(raw: Mapping[str, Any], worker: str = "", queue: str = "") -> Task:
        """Reads an answer. `worker` and `queue` are those of the request, for an answer that does not repeat them."""
        return Task(
            id=raw["id"],
            state=raw["state"],
            attempt=raw.get("attempt", 0),
            worker=raw.get("worker", worker),
            queue=raw.get("queue", queue),
            output=raw.get("output"),
            error=Failure.read(raw.get("error")),
            reason=raw.get("reason"),
            run=raw.get("run"),
            degraded=raw.get("degraded", False),
            cost_nanousd=raw.get("cost_nanousd", 0),
            raw=raw,
        )


@dataclass(frozen=True)
class Run:
    """A run of a workflow and its state."""

    id: str
    state: str
    """`running`, `paused`, `cancelling`, `succeeded`, `failed` or `cancelled`."""
    workflow: str = ""
    """Empty in what `start` returns for the text of a workflow."""
    seq: int = 0
    """The number of the next entry of its journal."""
    outputs: Json = None
    error: Failure | None = None
    reason: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ended(self) -> bool:
        """Tells whether its state is final."""
        return self.state in _RUN_ENDED

    def result(self) -> Json:
        """Returns the outputs of a run that succeeded.

        Raises RunFailed when it did not, and ValueError when it has not ended.
        """
        if self.state == "succeeded":
            return self.outputs
        if not self.ended:
            raise ValueError(f"{self.id} is {self.state}: wait for it first")
        raise RunFailed(self)

    @staticmethod
    def read(raw: Mapping[str, Any], workflow: str = "") -> Run:
        """Reads an answer. `workflow` is that of the request, for an answer that does not repeat it."""
        return Run(
            id=raw["id"],
            state=raw["state"],
            workflow=raw.get("workflow", workflow),
            seq=raw.get("seq", 0),
            outputs=raw.get("outputs"),
            error=Failure.read(raw.get("error")),
            reason=raw.get("reason"),
            raw=raw,
        )


@dataclass(frozen=True)
class Event:
    """An event."""

    kind: str
    data: Mapping[str, Any]
    seq: int | None = None
    """Number in the journal of its run: 0, 1, 2, ... without gaps."""
    cursor: str | None = None
    """Cursor in the stream of all events."""


class _Items(Sequence[T]):
    """A part of a list. It can be iterated over, counted and indexed."""

    def __init__(self, items: Sequence[T], next_cursor: str | None) -> None:
        self.items = items
        self.next_cursor = next_cursor
        """Where the next page begins. None for the last."""

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...

    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self.items[at]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items!r}, next_cursor={self.next_cursor!r})"


class Page(_Items[T]):
    """A part of a list: `for task in client.tasks.list()`. Every list is one."""

    def __init__(
        self,
        items: Sequence[T],
        next_cursor: str | None = None,
        more: Callable[[str], Page[T]] | None = None,
    ) -> None:
        super().__init__(items, next_cursor)
        self._more = more

    def next_page(self) -> Page[T] | None:
        """Asks for the page after this one. Returns None after the last."""
        return None if self.next_cursor is None or self._more is None else self._more(self.next_cursor)

    def all(self) -> Iterator[T]:
        """Iterates over this page and all that follow. Each is asked for when it is reached."""
        page: Page[T] | None = self
        while page is not None:
            yield from page.items
            page = page.next_page()


class AsyncPage(_Items[T]):
    """A part of a list: `for task in await client.tasks.list()`. Every list is one."""

    def __init__(
        self,
        items: Sequence[T],
        next_cursor: str | None = None,
        more: Callable[[str], Awaitable[AsyncPage[T]]] | None = None,
    ) -> None:
        super().__init__(items, next_cursor)
        self._more = more

    async def next_page(self) -> AsyncPage[T] | None:
        """Asks for the page after this one. Returns None after the last."""
        return None if self.next_cursor is None or self._more is None else await self._more(self.next_cursor)

    async def all(self) -> AsyncIterator[T]:
        """Iterates over this page and all that follow. Each is asked for when it is reached."""
        page: AsyncPage[T] | None = self
        while page is not None:
            for item in page.items:
                yield item
            page = await page.next_page()


class Journal(Page[Mapping[str, Any]]):
    """Entries of a run's journal."""

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        next: int,
        more: Callable[[str], Page[Mapping[str, Any]]] | None = None,
    ) -> None:
        # An entry may come at any time, so that only an empty page is the last.
        super().__init__(items, str(next) if items else None, more)
        self.next = next
        """The number of the entry after these."""


class AsyncJournal(AsyncPage[Mapping[str, Any]]):
    """Entries of a run's journal."""

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        next: int,
        more: Callable[[str], Awaitable[AsyncPage[Mapping[str, Any]]]] | None = None,
    ) -> None:
        # An entry may come at any time, so that only an empty page is the last.
        super().__init__(items, str(next) if items else None, more)
        self.next = next
        """The number of the entry after these."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """A page as it was read, without the way to the next."""

    items: Sequence[T]
    next_cursor: str | None


@known_fields
@dataclass(frozen=True)
class Retry:
    """When a failed attempt is retried. None leaves the rule of the worker. Times are seconds or timedeltas."""

    max_attempts: int | None = None
    """Attempts in all, the first included."""
    delay: Seconds | None = None
    """The wait before the second attempt."""
    multiplier: float | None = None
    """The factor by which each further wait is longer."""
    max_delay: Seconds | None = None
    jitter: str | None = None
    """`none`, `full` or `equal`."""
    on: str | Sequence[str] | None = None
    """Only these categories. One text, or several."""

    @staticmethod
    def of(given: Retry | Mapping[str, Any] | int) -> Retry:
        """Returns what a plain value stands for: a number for attempts in all, a dict for the fields."""
        if isinstance(given, Retry):
            return given
        if isinstance(given, Mapping):
            return Retry(**given)
        if isinstance(given, bool) or not isinstance(given, int):
            raise TypeError(
                f"retry: expected a number of attempts or a Retry, got {given!r}; Retry(max_attempts=3) is one"
            )
        if given < 1:
            raise ValueError(f"retry: {given} attempts are not possible; expected 1 (no retry) or more")
        return Retry(max_attempts=given)

    def wire(self) -> dict[str, Any]:
        """Returns the wire form."""
        fields = {
            "max_attempts": self.max_attempts,
            "delay_ms": ms(self.delay),
            "multiplier": self.multiplier,
            "max_delay_ms": ms(self.max_delay),
            "jitter": self.jitter,
            "on": None if self.on is None else texts("on", self.on),
        }
        return {key: value for key, value in fields.items() if value is not None}


@known_fields
@dataclass(frozen=True)
class PerKey:
    """Limit of the tasks of one `group` that run at once."""

    limit: int
    when_full: str | None = None
    """What becomes of a further task: it waits (`queue`, the default), fails (`reject`), or the oldest running one is
    cancelled (`cancel_running`)."""

    @staticmethod
    def of(given: PerKey | Mapping[str, Any] | int) -> PerKey:
        """Returns what a plain value stands for: a number for the limit, a dict for the fields."""
        rule = given if isinstance(given, PerKey) else PerKey(**given) if isinstance(given, Mapping) else PerKey(given)
        if isinstance(rule.limit, bool) or not isinstance(rule.limit, int):
            raise TypeError(f"per_key: expected a number of tasks or a PerKey, got {given!r}")
        if rule.limit < 1:
            raise ValueError(f"per_key: {rule.limit} tasks are not possible; expected 1 or more")
        return rule

    def wire(self) -> dict[str, Any]:
        """Returns the wire form."""
        return {"limit": self.limit, **({} if self.when_full is None else {"when_full": self.when_full})}


class SubmitOptions(TypedDict, total=False):
    """Options of a submit, by name: the fields of `NewTask`."""

    queue: str | None
    priority: int
    delay: Seconds
    deadline: datetime | str | None
    ttl: Seconds | None
    timeout: Seconds | None
    group: str | None
    retry: Retry | Mapping[str, Any] | int | None
    max_cost_nanousd: int | None
    requires: str | Sequence[str]


SUBMIT_OPTIONS = frozenset(SubmitOptions.__annotations__)


def rate_text(given: str) -> str:
    """Returns a rate such as "60/minute" as it is sent. The server checks its number and time."""
    if not isinstance(given, str) or "/" not in given:
        raise TypeError(f'rate: expected tasks and a time, such as "60/minute", got {given!r}')
    return given


@known_fields
@dataclass(frozen=True)
class NewTask:
    """A task to be submitted. Times are seconds or timedeltas; None leaves the rule of the worker."""

    worker: str
    input: Json = None
    queue: str | None = None
    priority: int = 0
    """Higher first; -100 to 100."""
    delay: Seconds = 0
    """It starts no earlier than after this time."""
    deadline: datetime | str | None = None
    """When it fails whatever it is doing: a datetime with a time zone, or a text such as 2027-01-31T12:00:00Z."""
    ttl: Seconds | None = None
    """It fails unless its first attempt has begun by then."""
    timeout: Seconds | None = None
    """How long an attempt may take."""
    group: str | None = None
    """What concurrency limits group it by (`key` on the wire)."""
    retry: Retry | Mapping[str, Any] | int | None = None
    """A number stands for `Retry(max_attempts=...)`."""
    max_cost_nanousd: int | None = None
    """Billionths of a US dollar."""
    requires: str | Sequence[str] = ()
    """The labels that a host must have: `gpu`, or `gpu=a100`. One text, or several."""

    def wire(self) -> dict[str, Any]:
        """Returns the wire form."""
        fields: dict[str, Any] = {
            "queue": self.queue,
            "priority": self.priority or None,
            "delay_ms": ms(self.delay) or None,
            "deadline": _rfc3339(self.deadline),
            "ttl_ms": ms(self.ttl),
            "timeout_ms": ms(self.timeout),
            "key": self.group,
            "retry": None if self.retry is None else Retry.of(self.retry).wire(),
            "max_cost_nanousd": self.max_cost_nanousd,
            "requires": texts("requires", self.requires) or None,
        }
        given = {key: value for key, value in fields.items() if value is not None}
        return {"worker": self.worker, "input": self.input, **given}


def seconds(time: Seconds) -> float:
    """Returns a time as seconds."""
    if isinstance(time, timedelta):
        return time.total_seconds()
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        raise TypeError(f"a time must be a number of seconds or a timedelta, not {time!r}")
    return time


def ms(time: Seconds | None) -> int | None:
    """Returns a time as whole milliseconds, or None for None."""
    if time is None:
        return None
    given = seconds(time)
    if given < 0:
        raise ValueError(f"a time must not be negative: {given}")
    return round(given * 1000)


def _rfc3339(at: datetime | str | None) -> str | None:
    if at is None or isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise ValueError("deadline: it has no time zone; datetime.now(timezone.utc) + timedelta(...) does")
    return at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def id_of(given: str | Task | Run) -> str:
    """Returns the id of what may be given whole."""
    return given if isinstance(given, str) else given.id
