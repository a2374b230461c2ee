"""An answer with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .model import Json


@dataclass(frozen=True)
class Output:
    """Return value of a worker's function that adds the origin of the answer."""

    value: Json
    provider: str | None = None
    model: str | None = None
    degraded_reason: str | None = None
    """Reason why the answer is poorer than requested."""
    truncated: bool = False
    """Whether the input was cut."""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0

    def provenance(self) -> dict[str, Any]:
        """Returns the wire form."""
        return {
            "provider": self.provider,
            "model": self.model,
            "degraded": self.degraded_reason is not None,
            "degraded_reason": self.degraded_reason,
            "truncated": self.truncated,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_nanousd": self.cost_nanousd,
        }
