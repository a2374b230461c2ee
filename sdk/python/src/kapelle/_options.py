"""Options by their names: one that is not known is refused with the name that it has here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class _Word:
    """A name of another library, and what to say to it."""

    uses: Mapping[str, str]
    """What to use, by the option that must be there for it."""
    otherwise: str = ""
    """The advice where there is no such option."""


def _use(name: str, text: str = "", otherwise: str = "", **more: str) -> _Word:
    return _Word({name: text or f"`{name}`", **more}, otherwise)


def _missing(text: str) -> _Word:
    return _Word({}, text)


_ATTEMPTS_TEXT = "`max_attempts` (the first attempt counts)"
_ATTEMPTS = _use(
    "retry", "`retry=5` or `retry=Retry(max_attempts=5)` (the first attempt counts)", max_attempts=_ATTEMPTS_TEXT
)
_RETRIES = _use("retry", "`retry=max_retries + 1` (the first attempt counts)", max_attempts=_ATTEMPTS_TEXT)
_BACKOFF = _use(
    "retry", "`retry=Retry(delay=1, multiplier=2)`, in seconds", delay="`delay`, in seconds, and `multiplier`"
)
_MULTIPLIER = _use("retry", "`retry=Retry(multiplier=2)`", multiplier="`multiplier`")
_FIRST_DELAY = _use("retry", "`retry=Retry(delay=1)`, in seconds", delay="`delay`, in seconds")
_LONGEST_DELAY = _use("retry", "`retry=Retry(max_delay=60)`, in seconds", max_delay="`max_delay`, in seconds")
_JITTER = _use("retry", "`retry=Retry(jitter=...)`", jitter="`jitter`")
_CATEGORIES = _use(
    "retry", "`retry=Retry(on=[...])`, a list of error categories", on="`on`, a list of error categories"
)
_KEY = _use("idempotency_key")
_DELAY = _use("delay", "`delay`, in seconds or as a timedelta")
_ETA = _use("delay", "`delay`, in seconds from now or as a timedelta (`delay=eta - now`)")
_TIMEOUT = _use("timeout", "`timeout`, in seconds or as a timedelta")
_TTL = _use("ttl", "`ttl`, in seconds or as a timedelta")
_COST = _use("max_cost_nanousd", "`max_cost_nanousd`, in billionths of a dollar")
_SLOTS = _use("slots", otherwise="use `slots` of `Host(slots=...)`")
_QUEUE = _use("queue", otherwise="use `queue` of the worker or task", queues="`queues`")
_INPUT = _use("input", "`input`, one JSON value", inputs="`inputs`")
_URL = _use("url", "`url` and `token`", "use `url` and `token` of the client or host")
_KEPT = _missing("not available: the server keeps ended tasks")
_SCHEDULE = _use("cron", otherwise='use `client.schedules.create("NAME", "15m", worker="WORKER")`')
_PARTS = _missing("not available: steps that follow each other are a workflow (`client.runs.start`)")
_RATE = _use("rate", '`rate="60/minute"`', otherwise='use `rate="60/minute"` of `host.worker(...)`')
_PER_KEY = _use("per_key", otherwise="use `per_key` of `host.worker(...)`")
_LEASE = _missing("not needed: the host renews the leases of its tasks itself")
_ACK = _missing("not needed: a task is done once its result is reported")
_BIND = _missing("not available: a worker takes (ctx, input)")

_WORDS = {
    # Celery
    "countdown": _DELAY,
    "eta": _ETA,
    "expires": _TTL,
    "taskid": _KEY,
    "maxretries": _RETRIES,
    "retrybackoff": _BACKOFF,
    "retrybackoffmax": _LONGEST_DELAY,
    "retryjitter": _JITTER,
    "defaultretrydelay": _FIRST_DELAY,
    "autoretryfor": _CATEGORIES,
    "retryfor": _CATEGORIES,
    "retrypolicy": _use("retry"),
    "timelimit": _TIMEOUT,
    "softtimelimit": _TIMEOUT,
    "ratelimit": _RATE,
    "routingkey": _QUEUE,
    "exchange": _QUEUE,
    "queuename": _QUEUE,
    "queues": _QUEUE,
    "link": _PARTS,
    "linkerror": _PARTS,
    "chain": _PARTS,
    "chord": _PARTS,
    "ignoreresult": _KEPT,
    "resultexpires": _KEPT,
    "ackslate": _ACK,
    "prefetchmultiplier": _SLOTS,
    "bind": _BIND,
    "args": _INPUT,
    "kwargs": _INPUT,
    "broker": _URL,
    "brokerurl": _URL,
    "backend": _URL,
    "periodic": _SCHEDULE,
    "schedule": _SCHEDULE,
    "notbefore": _ETA,
    # BullMQ
    "attempts": _ATTEMPTS,
    "backoff": _BACKOFF,
    "jobid": _KEY,
    "deduplication": _KEY,
    "debounce": _KEY,
    "lifo": _use("priority"),
    "data": _INPUT,
    "removeoncomplete": _KEPT,
    "removeonfail": _KEPT,
    "repeat": _SCHEDULE,
    "cron": _SCHEDULE,
    "every": _SCHEDULE,
    "parent": _PARTS,
    "children": _PARTS,
    "concurrency": _SLOTS,
    "maxconcurrency": _SLOTS,
    "limiter": _RATE,
    "lockduration": _LEASE,
    "stalledinterval": _LEASE,
    "maxstalledcount": _LEASE,
    "connection": _URL,
    "factor": _MULTIPLIER,
    "type": _MULTIPLIER,
    # Temporal
    "workflowid": _KEY,
    "taskqueue": _QUEUE,
    "starttoclosetimeout": _TIMEOUT,
    "scheduletostarttimeout": _TTL,
    "scheduletoclosetimeout": _use("deadline"),
    "maximumattempts": _ATTEMPTS,
    "initialinterval": _FIRST_DELAY,
    "backoffcoefficient": _MULTIPLIER,
    "maximuminterval": _LONGEST_DELAY,
    "nonretryableerrortypes": _CATEGORIES,
    "startdelay": _DELAY,
    # Other places of Kapelle, and general words
    "perkey": _PER_KEY,
    "groupconcurrency": _PER_KEY,
    "keylimit": _PER_KEY,
    "rate": _RATE,
    "key": _use("group"),
    "retries": _RETRIES,
    "baseurl": _URL,
    "address": _URL,
    "apikey": _use("token"),
    "payload": _INPUT,
    "name": _use("workflow"),
    "inputs": _INPUT,
    "input": _INPUT,
    "with": _INPUT,
    "crontab": _SCHEDULE,
    "tz": _use("timezone"),
    "maxcost": _COST,
    "maxcostusd": _COST,
}
"""The words of other queues and workflow engines, in lower case without `_`."""


def known(where: str, more: Collection[str] = ()) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a function so that it refuses unknown options with the right name.

    `where` is how messages call it, `more` are the names that its `**options` stand for.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        parameters = list(inspect.signature(function).parameters.values())
        own = (one.name for one in parameters if one.name != "self" and one.kind is not one.VAR_KEYWORD)
        names = frozenset([*own, *more])

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if not names.issuperset(kwargs):
                refuse(where, next(name for name in kwargs if name not in names), names)
            return function(*args, **kwargs)

        return call

    return decorate


def known_fields(kind: type[T]) -> type[T]:
    """Decorates a class so that its constructor refuses unknown options with the right name."""
    setattr(kind, "__init__", known(kind.__name__)(kind.__init__))
    return kind


def refuse(where: str, name: str, names: Collection[str]) -> NoReturn:
    """Raises TypeError with the advice for an unknown option."""
    raise TypeError(f"{name}: unknown option of {where}; {_advice(name, names)}")


def _advice(name: str, names: Collection[str]) -> str:
    plain = _bare(name)
    listed = sorted(names)
    for one in listed:
        if _bare(one) == plain:
            return f"use `{one}`"
        if plain in (_bare(one) + "ms", _bare(one) + "s", _bare(one) + "seconds"):
            return f"use `{one}`, in seconds" if plain != _bare(one) + "s" else f"use `{one}`"
    word = _WORDS.get(plain, _missing(""))
    for option, text in word.uses.items():
        if option in names:
            return f"use {text}"
    if word.otherwise:
        return word.otherwise
    near = min(((_distance(plain, _bare(one)), one) for one in listed), default=(99, ""))
    return f"did you mean `{near[1]}`?" if near[0] <= 2 else f"expected some of {', '.join(listed)}"


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _distance(a: str, b: str) -> int:
    """Letters to change to make one word of the other; a swap of neighbours counts as one."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            least = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                least = min(least, rows[i - 2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[len(a)][len(b)]


def texts(where: str, value: str | Sequence[str]) -> list[str]:
    """Returns the list that one text or several stand for."""
    found = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(one, str) for one in found):
        raise TypeError(f"{where}: expected a text or a list of texts, got {value!r}")
    return found
