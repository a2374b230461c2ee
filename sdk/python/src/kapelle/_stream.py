"""State of an event stream, without a socket: position after an interruption, new events, end."""

from __future__ import annotations

import json

from ._sse import Frame
from .errors import Unreachable
from .model import Event, Run


class RunStream:
    """Position in a run's stream. Numbers have no gaps; known events are skipped."""

    def __init__(self, after: int | None) -> None:
        self.next = 0 if after is None else after + 1

    def headers(self) -> dict[str, str]:
        """Returns the start position of the stream."""
        return {"last-event-id": str(self.next - 1)} if self.next else {}

    def take(self, frame: Frame) -> Event | None:
        """Returns the event, unless it is known already."""
        seq = int(frame.id)
        if seq < self.next:
            return None
        if seq > self.next:
            raise Unreachable(f"the stream went from event {self.next - 1} to {seq}: events are missing")
        self.next = seq + 1
        return Event(frame.kind, json.loads(frame.data), seq=seq)

    def over(self, run: Run) -> bool:
        """Tells whether the stream has ended."""
        return run.ended and run.seq <= self.next


class AllStream:
    """Position in the stream of all events."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor

    def headers(self) -> dict[str, str]:
        """Returns the start position of the stream."""
        return {"last-event-id": self.cursor} if self.cursor else {}

    def take(self, frame: Frame) -> Event:
        """Returns the event. One of kind `resync` says that events were missed: read the state again."""
        if frame.id:
            self.cursor = frame.id
        return Event(frame.kind, json.loads(frame.data), cursor=self.cursor)
