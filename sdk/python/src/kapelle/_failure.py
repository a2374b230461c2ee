"""Conversion of a worker's exception into the failure of its attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from .errors import CATEGORIES, Cancelled, NoGateway, TaskError, Unreachable

# By name: none of these packages needs to be installed.
_TIMEOUTS = {"openai.APITimeoutError", "httpx.TimeoutException", "requests.Timeout"}
_UNREACHED = {
    "openai.APIConnectionError",
    "httpx.TransportError",
    "requests.ConnectionError",
    "aiohttp.ClientConnectionError",
}


def failure(error: BaseException) -> TaskError:
    """Returns the failure to report. Any other exception counts as a fault of the worker, which is retried; raise
    TaskError to decide otherwise."""
    if isinstance(error, TaskError):
        return error
    if isinstance(error, (Cancelled, asyncio.CancelledError)):
        return TaskError(str(error) or "the function cancelled itself", category="cancelled")
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return TaskError(message, category=_category(error), retry_after=_retry_after(error))


def _category(error: BaseException) -> str:
    if isinstance(error, NoGateway):
        return "model_required"
    # Errors of the optional openai package carry the gateway's answer: its code is a category where
    # it has one.
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in CATEGORIES:
        return code
    # Those of httpx and requests have it in the answer.
    status = getattr(error, "status_code", getattr(getattr(error, "response", None), "status_code", None))
    if status == 429:
        return "rate_limited"
    if isinstance(status, int) and status >= 500:
        return "unavailable"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "timeout"
    if isinstance(error, (ConnectionError, Unreachable)):
        return "unavailable"
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    if names & _TIMEOUTS:
        return "timeout"
    return "unavailable" if names & _UNREACHED else "internal"


def _retry_after(error: BaseException) -> float | None:
    """Returns the wait that an answer asked for, in seconds."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    text = headers.get("retry-after") if isinstance(headers, Mapping) else None
    return float(text) if isinstance(text, str) and text.isdigit() else None
