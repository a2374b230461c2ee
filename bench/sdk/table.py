"""The table of a language: medians, and the median of the ratios to the peer in the same pair."""

from __future__ import annotations

from statistics import median
from typing import Any

_TARGETS = {
    "node": {"singles ended": 3.0, "batch ended": 4.0, "idle p50": 0.7, "idle p99": 0.7, "steps median": 0.5, "fanout median": 0.4},
    "python": {"singles ended": 5.0, "batch ended": 10.0, "idle p50": 0.4, "idle p99": 0.4, "steps median": 0.5, "fanout median": 0.1},
}
"""The ratios aimed at."""


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _range(values: list[float]) -> str:
    if len(values) == 1:
        return _shown(values[0])
    return f"{_shown(median(values))} ({_shown(min(values))}-{_shown(max(values))})"


def render(sdk: str, sides: list[str], figures: list[dict[str, Any]]) -> str:
    """Returns the table of a language."""
    peered = len(sides) == 2
    head = ["row", "figure", *sides, *(["ratio in a pair", "aim"] if peered else [])]
    lines = []
    for figure in figures:
        pairs = figure["pairs"]
        line = [figure["row"], f"{figure['name']}, {figure['unit']}"]
        line += [_range([pair[at] for pair in pairs]) for at in range(len(sides))]
        if peered:
            line.append(_range([own / peer if peer else float("inf") for own, peer in pairs]))
            aim = _TARGETS[sdk].get(f"{figure['row']} {figure['name']}")
            line.append("" if aim is None else f"{'>=' if figure['higher'] else '<='} {aim:g}")
        lines.append(line)
    widths = [max(len(line[at]) for line in [head, *lines]) for at in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in [head, rule, *lines])
