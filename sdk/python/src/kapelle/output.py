"""An answer with where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .model import Json


@dataclass(frozen=True)
class Output:
    """What a worker's function may return instead of a plain value, to say where the answer came from."""

    value: Json
    provider: str | None = None
    model: str | None = None
    degraded_reason: str | None = None
    """The answer is poorer than was asked for, and why."""
    truncated: bool = False
    """The input was cut to fit."""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0

    def provenance(self) -> dict[str, Any]:
        """As it travels."""
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
