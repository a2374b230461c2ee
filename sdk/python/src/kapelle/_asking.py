"""What the requests of both clients have in common."""

from __future__ import annotations

from typing import Any

from ._http import TransportError
from ._wire import PATIENCE, Again, Call, unreachable
from .errors import Problem, WaitTimeout
from .model import Seconds, seconds

SILENCE = 45.0
"""Seconds without data after which a stream counts as dead; the server sends a comment every 15."""
EARLY = 0.2
"""Seconds before asking again when an answer came earlier than asked for."""
TURN = 0.5
"""Seconds of a wait while others wait for their turn."""
REST = 0.1
"""Seconds between the end of a stream and the next, as during a shutdown of the server."""


def late(what: str, timeout: Seconds) -> WaitTimeout:
    """Makes the error of a wait that took too long."""
    return WaitTimeout(f"{what} has not ended within {seconds(timeout):g} s; it goes on")


class Patience:
    """How long an unreachable server is tried."""

    def __init__(self, url: str, retry_for: float) -> None:
        self.url = url
        self.retry_for = retry_for

    def patience(self, left: float | None) -> float:
        """Returns the time for which a wait continues without the server."""
        if self.retry_for == 0:
            return 0
        return PATIENCE if left is None else min(PATIENCE, left)

    def pause(self, again: Again, call: Call[Any], error: TransportError | Problem) -> float:
        """Returns the seconds after which a request is repeated. Raises the error when that would do harm, or no good."""
        pause = again.after(call, error)
        if pause is not None:
            return pause
        if isinstance(error, Problem):
            raise error
        # The trace of the underlying libraries would hide the message.
        raise unreachable(self.url, error) from None
