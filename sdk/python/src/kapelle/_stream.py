"""Following events without a socket: where to go on after an interruption, what is new, when it is over."""

from __future__ import annotations

import json

from ._sse import Frame
from .errors import Unreachable
from .model import Event, Run


class RunStream:
    """The place in a run's stream. Numbers follow each other without gaps; what came already is left out."""

    def __init__(self, after: int | None) -> None:
        self.next = 0 if after is None else after + 1

    def headers(self) -> dict[str, str]:
        """From where the stream is wanted."""
        return {"last-event-id": str(self.next - 1)} if self.next else {}

    def take(self, frame: Frame) -> Event | None:
        """The event, unless it came already."""
        seq = int(frame.id)
        if seq < self.next:
            return None
        if seq > self.next:
            raise Unreachable(f"the stream went from event {self.next - 1} to {seq}: events are missing")
        self.next = seq + 1
        return Event(frame.kind, json.loads(frame.data), seq=seq)

    def over(self, run: Run) -> bool:
        """Whether nothing further comes."""
        return run.ended and run.seq <= self.next


class AllStream:
    """The place in the stream of everything."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor

    def headers(self) -> dict[str, str]:
        """From where the stream is wanted."""
        return {"last-event-id": self.cursor} if self.cursor else {}

    def take(self, frame: Frame) -> Event:
        """The event. One of kind `resync` says that some were missed: look at the state anew."""
        if frame.id:
            self.cursor = frame.id
        return Event(frame.kind, json.loads(frame.data), cursor=self.cursor)
