"""What must hold of a history: nothing that was acknowledged is lost, and nothing is completed twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Execution = Mapping[str, Any]
Look = Mapping[str, Any]
"""A task as the server showed it, with the time of the question (`at`)."""
_CLOCK = 0.05
"""Seconds by which two processes may disagree on the time."""


def check(submitted: Mapping[str, str], shown: Mapping[str, Look], looks: Iterable[Look], ran: Iterable[Execution]) -> list[str]:
    """Returns the faults.

    `submitted` has the task of each submit by its key, `shown` every task of the server at the end, `looks` what was seen
    of tasks that had ended, `ran` the executions that the hosts wrote down.
    """
    faults = []
    ids = list(submitted.values())
    faults += [f"{id}: acknowledged and lost" for id in ids if id not in shown]
    faults += [f"{id}: nobody submitted it, or it was submitted twice" for id in shown if id not in set(ids)]
    if len(set(ids)) != len(ids):
        faults.append("two submits got one task")
    executions: dict[str, list[Execution]] = defaultdict(list)
    for execution in ran:
        executions[execution["task"]].append(execution)
    ended: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        ended[look["id"]].append(look)
    for id, look in shown.items():
        faults += [f"{id}: {fault}" for fault in _task(look, executions[id], ended[id])]
    return faults


def _task(end: Look, executions: list[Execution], seen: list[Look]) -> list[str]:
    if end["state"] != "succeeded":
        return [f"it ended as {end['state']}: {end}"]
    faults = []
    output, attempt = end["output"], end["attempt"]
    attempts = [execution["attempt"] for execution in executions]
    if len(set(attempts)) != len(attempts):
        faults.append(f"an attempt was given out twice: {executions}")
    if max(attempts, default=0) > attempt:
        faults.append(f"it was given out after attempt {attempt} had completed it: {executions}")
    if output["mark"] not in {execution["mark"] for execution in executions} or output["attempt"] != attempt:
        faults.append(f"its answer is not that of attempt {attempt}: {output}, {executions}")
    for look in seen:
        if (look["output"], look["attempt"]) != (output, attempt):
            faults.append(f"it was completed twice: {look}, then {end}")
        late = [one for one in executions if one["at"] > look["at"] + _CLOCK]
        if late:
            faults.append(f"it was executed after its end had been seen: {late}")
    return faults
