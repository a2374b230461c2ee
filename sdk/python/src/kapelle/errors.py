"""What can go wrong: refusals of the server, a server that is away, and failures of tasks."""

from __future__ import annotations

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
"""The kinds of failure that a task can have."""


class KapelleError(Exception):
    """Everything that this package raises, but for wrong arguments (ValueError, TypeError)."""


class NoToken(KapelleError):
    """No token was given and none was found."""


class NoGateway(KapelleError):
    """The server offers no model gateway, or the `openai` package is missing."""


class Unreachable(KapelleError):
    """The server was not reached, or did not answer as a Kapelle server does."""


class WaitTimeout(KapelleError, TimeoutError):
    """The task or run had not ended within the time given to `wait`. It goes on all the same."""


class Problem(KapelleError):
    """The server refused a request (RFC 9457). `code` is for programs and never changes its meaning."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        title: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again."""


class InvalidRequest(Problem):
    """The request could not be read."""


class InvalidInput(Problem):
    """The request asks for something that cannot be."""


class UnknownWorker(InvalidInput):
    """Nobody has registered a worker of that name."""


class IdempotencyKeyReused(InvalidInput):
    """The idempotency key was used for another request."""


class Unauthorized(Problem):
    """The token is missing, wrong, expired or was taken back."""


class Forbidden(Problem):
    """The key's role does not allow this."""


class NotFound(Problem):
    """There is no such thing, or it is another tenant's."""


class Conflict(Problem):
    """The thing is not in a state in which this can be done; mostly it has ended."""


class LeaseLost(Conflict):
    """The attempt belongs to another host, or is over."""


class TooLarge(Problem):
    """The request is larger than the server takes."""


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


def problem(status: int, code: str, detail: str, title: str, retry_after: float | None) -> Problem:
    """The exception for a refusal; codes of later servers give a plain `Problem`."""
    return _KINDS.get(code, Problem)(status, code, detail, title, retry_after)


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
    """Raised by a worker's function: the attempt failed, and this is why.

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
    """Raised by `ctx.check()` and `ctx.sleep()` in an attempt that is not wanted any more."""
