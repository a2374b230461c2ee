"""Parser of server-sent events, without a socket."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Unreachable

_LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Frame:
    """An event as it was sent."""

    id: str
    kind: str
    data: str


class Parser:
    """Splits at LF alone: JSON may hold every other character that Python treats as a line end."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        """Returns the events that these bytes complete."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            raise Unreachable("the server sent an event without an end")
        frames = []
        for line in lines:
            frame = self._line(line.removesuffix(b"\r").decode("utf-8"))
            if frame:
                frames.append(frame)
        return frames

    def _line(self, line: str) -> Frame | None:
        if not line:
            data, kind = self._data, self._kind
            self._data, self._kind = [], ""
            return Frame(self._id, kind or "message", "\n".join(data)) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None
