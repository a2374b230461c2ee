"""Errors: refusals of the server, an unreachable server, and failures of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Run, Task

CATEGORIES = (
    "invalid_input",
    "invalid_output",
    "rate_limited",
    "timeout",
    "unavailable",
    "model_required",
    "provider",
    "budget",
    "cancelled",
    "crashed",
    "lease_lost",
    "internal",
)
"""Categories of a task's failure."""


class KapelleError(Exception):
    """Base of the exceptions of this package, except for wrong arguments (ValueError, TypeError)."""


class NoToken(KapelleError):
    """A token was neither given nor found."""


class NoGateway(KapelleError):
    """The server offers no model gateway, or the `openai` package is missing."""


class Unreachable(KapelleError):
    """The server was not reached, or did not answer as a Kapelle server does."""

    status: int | None = None
    """Status of an answer that a Kapelle server does not give."""


class WaitTimeout(KapelleError, TimeoutError):
    """The task or run had not ended within the time of `wait`. It continues."""


@dataclass(frozen=True)
class ItemProblem:
    """The fault of one task of a batch."""

    code: str
    detail: str
    """The fault, and what to do."""
    field: str | None = None
    """The wrong field of the task."""


class Problem(KapelleError):
    """The server refused a request (RFC 9457). `code` is for programs and never changes its meaning."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        title: str = "",
        retry_after: float | None = None,
        errors: Mapping[int, ItemProblem] | None = None,
        errors_total: int = 0,
    ) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.retry_after = retry_after
        """Seconds after which the server allows a retry."""
        self.errors: Mapping[int, ItemProblem] = errors or {}
        """The wrong tasks of a batch by their place in it; at most the first 20."""
        self.errors_total = errors_total
        """Number of wrong tasks of a batch. The server's check ends with the 1,000th."""


class InvalidRequest(Problem):
    """The request could not be read."""


class InvalidInput(Problem):
    """The request has invalid contents."""


class UnknownWorker(InvalidInput):
    """A worker of that name was never registered."""


class IdempotencyKeyReused(InvalidInput):
    """The idempotency key was used for another request."""


class Unauthorized(Problem):
    """The token is missing, wrong, expired or revoked."""


class Forbidden(Problem):
    """The key's role does not allow this."""


class NotFound(Problem):
    """It does not exist, or belongs to another tenant."""


class Conflict(Problem):
    """Its state does not allow the request; usually it has ended."""


class LeaseLost(Conflict):
    """The attempt belongs to another host, or is over."""


class TooLarge(Problem):
    """The request is larger than the server accepts."""


class TooMany(Problem):
    """Too many requests, streams or tasks."""


class Unavailable(Problem):
    """The server is stopping or its storage is full."""


_KINDS: dict[str, type[Problem]] = {
    "invalid_request": InvalidRequest,
    "invalid_input": InvalidInput,
    "unknown_worker": UnknownWorker,
    "idempotency_key_reused": IdempotencyKeyReused,
    "unauthorized": Unauthorized,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "conflict": Conflict,
    "lease_lost": LeaseLost,
    "too_large": TooLarge,
    "too_many": TooMany,
    "unavailable": Unavailable,
    "storage_full": Unavailable,
}


def problem(
    status: int,
    code: str,
    detail: str,
    title: str,
    retry_after: float | None,
    errors: Mapping[int, ItemProblem] | None = None,
    errors_total: int = 0,
) -> Problem:
    """Returns the exception of a refusal; unknown codes give a plain `Problem`."""
    return _KINDS.get(code, Problem)(status, code, detail, title, retry_after, errors, errors_total)


class TaskFailed(KapelleError):
    """`Task.result()` of a task that failed. `task.error` has the category."""

    def __init__(self, task: Task) -> None:
        error = task.error
        what = f"{error.category}: {error.message}" if error else task.reason or task.state
        super().__init__(f"{task.id} ({task.worker}) {task.state}: {what}")
        self.task = task


class TaskCancelled(TaskFailed):
    """`Task.result()` of a task that was cancelled."""


class RunFailed(KapelleError):
    """`Run.result()` of a run that failed or was cancelled."""

    def __init__(self, run: Run) -> None:
        what = f"{run.error.category}: {run.error.message}" if run.error else run.reason or run.state
        super().__init__(f"{run.id} ({run.workflow}) {run.state}: {what}")
        self.run = run


class TaskError(Exception):
    """Raised by a worker's function: the attempt failed for this reason.

    `category` is one of `CATEGORIES`. Whether the task is tried again follows from it unless `retryable` says;
    `retry_after` is how many seconds the next attempt must wait at least.
    """

    def __init__(
        self,
        message: str,
        *,
        category: str = "internal",
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        if category not in CATEGORIES:
            raise ValueError(f"category: there is no `{category}`, but {', '.join(CATEGORIES)}")
        if retry_after is not None and retry_after < 0:
            raise ValueError("retry_after: it must not be negative")
        super().__init__(message)
        self.message = message
        self.category = category
        self.retryable = retryable
        self.retry_after = retry_after


class Cancelled(Exception):
    """Raised by `ctx.check()` and `ctx.sleep()` in a cancelled attempt."""
