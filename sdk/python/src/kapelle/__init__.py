"""Kapelle for Python: submit tasks, run workflows, and work on tasks.

from kapelle import Client

client = Client()
task = client.tasks.submit("summarizer", {"text": "..."})
print(client.tasks.wait(task.id).result())

from kapelle import Context, Host

host = Host(slots=2)

@host.worker("shout")
def shout(ctx: Context, input):
    return {"text": input["text"].upper()}

host.run()
"""

from .aio import AsyncClient
from .client import Client
from .context import AsyncContext, Context
from .errors import (
    CATEGORIES,
    Cancelled,
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidRequest,
    ItemProblem,
    KapelleError,
    LeaseLost,
    NoGateway,
    NotFound,
    NoToken,
    Problem,
    RunFailed,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnknownWorker,
    Unreachable,
    WaitTimeout,
)
from .host import Host
from .model import (
    AsyncJournal,
    AsyncPage,
    Event,
    Failure,
    Journal,
    Json,
    NewTask,
    Page,
    PerKey,
    Retry,
    Run,
    Seconds,
    SubmitOptions,
    Task,
)
from .output import Output

__version__ = "0.1.0"

__all__ = [
    "CATEGORIES",
    "AsyncClient",
    "AsyncContext",
    "AsyncJournal",
    "AsyncPage",
    "Cancelled",
    "Client",
    "Conflict",
    "Context",
    "Event",
    "Failure",
    "Forbidden",
    "Host",
    "IdempotencyKeyReused",
    "InvalidInput",
    "InvalidRequest",
    "ItemProblem",
    "Journal",
    "Json",
    "KapelleError",
    "LeaseLost",
    "NewTask",
    "NoGateway",
    "NoToken",
    "NotFound",
    "Output",
    "Page",
    "PerKey",
    "Problem",
    "Retry",
    "Run",
    "RunFailed",
    "Seconds",
    "SubmitOptions",
    "Task",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "UnknownWorker",
    "Unreachable",
    "WaitTimeout",
]
