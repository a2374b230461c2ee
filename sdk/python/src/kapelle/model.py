"""The server's answers as plain objects. `raw` has the whole answer, with the fields of later servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .errors import RunFailed, TaskCancelled, TaskFailed

Json = Any
"""A JSON value: None, bool, int, float, str, lists and dicts of it."""

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
    def read(raw: Mapping[str, Any]) -> Task:
        return Task(
            id=raw["id"],
            state=raw["state"],
            attempt=raw.get("attempt", 0),
            worker=raw.get("worker", ""),
            queue=raw.get("queue", ""),
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
    def read(raw: Mapping[str, Any]) -> Run:
        return Run(
            id=raw["id"],
            state=raw["state"],
            workflow=raw.get("workflow", ""),
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


@dataclass(frozen=True)
class Page:
    """A page of tasks."""

    tasks: Sequence[Task]
    next_cursor: str | None = None


@dataclass(frozen=True)
class RunPage:
    """A page of runs."""

    runs: Sequence[Run]
    next_cursor: str | None = None


@dataclass(frozen=True)
class Journal:
    """Entries of a run's journal."""

    entries: Sequence[Mapping[str, Any]]
    next: int
    """The number of the entry after these."""


@dataclass(frozen=True)
class Retry:
    """Retry rules. None means the worker's value. Times are seconds."""

    max_attempts: int | None = None
    delay: float | None = None
    multiplier: float | None = None
    max_delay: float | None = None
    jitter: str | None = None
    """`none`, `full` or `equal`."""
    on: Sequence[str] | None = None
    """Categories that are retried."""

    def wire(self) -> dict[str, Any]:
        """Returns the wire form."""
        fields = {
            "max_attempts": self.max_attempts,
            "delay_ms": ms(self.delay),
            "multiplier": self.multiplier,
            "max_delay_ms": ms(self.max_delay),
            "jitter": self.jitter,
            "on": None if self.on is None else list(self.on),
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True)
class NewTask:
    """A task to submit. Times are seconds; None means the worker's value."""

    worker: str
    input: Json = None
    queue: str | None = None
    priority: int = 0
    """From -100 (last) to 100 (first)."""
    delay: float = 0
    deadline: datetime | None = None
    """Time at which it fails in any state. Needs a time zone."""
    ttl: float | None = None
    """Time at which it fails unless its first attempt has begun."""
    timeout: float | None = None
    """Timeout of an attempt."""
    group: str | None = None
    """Concurrency key by which limits group it (`key` on the wire)."""
    retry: Retry | None = None
    max_cost_nanousd: int | None = None
    requires: Sequence[str] = ()
    """Labels that a host needs: `gpu`, or `gpu=a100`."""

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
            "retry": self.retry.wire() if self.retry else None,
            "max_cost_nanousd": self.max_cost_nanousd,
            "requires": list(self.requires) or None,
        }
        given = {key: value for key, value in fields.items() if value is not None}
        return {"worker": self.worker, "input": self.input, **given}


def ms(seconds: float | None) -> int | None:
    """Converts seconds to whole milliseconds."""
    if seconds is None:
        return None
    if seconds < 0:
        raise ValueError(f"a time must not be negative: {seconds}")
    return round(seconds * 1000)


def _rfc3339(at: datetime | None) -> str | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError("deadline: it has no time zone; datetime.now(timezone.utc) + timedelta(...) does")
    return at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
