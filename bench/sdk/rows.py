"""The rows: what the clients of both sides do by turns, and the figures that come of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from stage import Side, Stage

SDKS = ("node", "python")
NAMES = ("singles", "batch", "idle", "steps", "fanout", "steady")
_LOAD = 0.8
"""Share of the lower rate of singles at which the steady load goes, on both sides."""

_AMOUNTS: dict[str, dict[str, dict[str, int]]] = {
    "node": {
        "singles": {"count": 5_000, "clients": 50},
        "batch": {"count": 10_000, "size": 500},
        "idle": {"times": 300},
        "steps": {"times": 5, "steps": 40},
        "fanout": {"times": 3, "items": 1_000},
        "steady": {"seconds": 10},
    },
    "python": {
        "singles": {"count": 1_500, "clients": 50},
        "batch": {"count": 2_000, "size": 500},
        "idle": {"times": 200},
        "steps": {"times": 3, "steps": 40},
        "fanout": {"times": 1, "items": 1_000},
        "steady": {"seconds": 10},
    },
}
_SHRUNK = ("count", "times", "seconds")


@dataclass
class Figure:
    """One line of the table: a figure of each side, once for each pair."""

    row: str
    name: str
    unit: str
    higher: bool
    """Whether a higher figure is better."""
    pairs: list[list[float]] = field(default_factory=list)


def measure(stage: Stage, rows: list[str], pairs: int, quick: bool) -> list[dict[str, Any]]:
    """Measures the rows. The side that begins changes from pair to pair."""
    amounts = _AMOUNTS[stage.sdk]
    for side in stage.sides:
        # The first tasks meet programs that are not compiled yet.
        side.ask({"row": "singles", "count": 500, "clients": 50})
        side.ask({"row": "idle", "times": 20})
    figures: dict[str, Figure] = {}
    for pair in range(pairs):
        rates: list[float] = []
        for row in rows:
            given = {key: max(1, value // 10) if quick and key in _SHRUNK else value for key, value in amounts[row].items()}
            if "size" in given:
                given["count"] = max(given["count"], given["size"])
            answers: dict[int, dict[str, float]] = {}
            order = list(enumerate(stage.sides))
            for at, side in order if pair % 2 == 0 else reversed(order):
                more = {"rate": _LOAD * min(rates or _ended(stage, amounts))} if row == "steady" else {}
                answers[at] = _figures(row, given, side, more, stage.sdk)
            if row == "singles":
                rates = [answers[at]["ended"] for at, _ in order]
            for name in answers[0]:
                made = figures.setdefault(f"{row} {name}", Figure(row, name, *_KINDS[name]))
                made.pairs.append([answers[at][name] for at, _ in order])
            _progress(stage, row, pair, answers)
    return [vars(figure) for figure in figures.values()]


_KINDS = {
    "ended": ("tasks/s", True),
    "submitted": ("tasks/s", True),
    "p50": ("ms", False),
    "p99": ("ms", False),
    "median": ("ms", False),
    "client": ("us of processor time a task", False),
    "worker": ("us of processor time a task", False),
    "server": ("us of processor time a task", False),
}


def _figures(row: str, given: dict[str, int], side: Side, more: dict[str, float], sdk: str) -> dict[str, float]:
    answer = side.ask({"row": row, **given, **more})
    if row in ("singles", "batch"):
        count = given["count"]
        found = {"ended": count / answer["ended"], "submitted": count / answer["submitted"]}
    else:
        ms = sorted(answer["ms"])
        count = len(ms) * given.get("steps", given.get("items", 1))
        if row in ("idle", "steady"):
            found = {"p50": ms[len(ms) // 2], "p99": ms[min(len(ms) - 1, len(ms) * 99 // 100)]}
        else:
            found = {"median": ms[len(ms) // 2]}
    return found | {name: seconds / count * 1e6 for name, seconds in answer["processor"].items()}


def _ended(stage: Stage, amounts: dict[str, dict[str, int]]) -> list[float]:
    """The rates of singles, for a steady load without that row."""
    return [_figures("singles", amounts["singles"], side, {}, stage.sdk)["ended"] for side in stage.sides]


def _progress(stage: Stage, row: str, pair: int, answers: dict[int, dict[str, float]]) -> None:
    shown = []
    for at, side in enumerate(stage.sides):
        first = list(answers[at].items())[:2]
        shown.append(f"{side.name} " + ", ".join(f"{name} {value:,.1f}" for name, value in first if name in _KINDS))
    print(f"{stage.sdk} pair {pair + 1} {row}: {' | '.join(shown)}", file=sys.stderr, flush=True)
