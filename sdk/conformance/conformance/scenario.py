"""Scenarios: data that says what to do and what to expect."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .drivers import Drivers
from .server import Server

_FOLDER = Path(__file__).parent.parent / "scenarios"
_STEP = 60.0
"""Seconds that one step may take."""


class Unmet(Exception):
    """Something was not as expected."""


@dataclass(frozen=True)
class Scenario:
    """One file of `scenarios`."""

    name: str
    own_server: bool
    config: str
    """The `kapelle.yaml` of its own server."""
    slow: bool
    steps: list[dict[str, Any]]


def scenarios() -> list[Scenario]:
    """All there are, by name."""
    found = []
    for path in sorted(_FOLDER.glob("*.json")):
        raw = json.loads(path.read_text("utf-8"))
        unknown = set(raw) - {"why", "own_server", "config", "slow", "steps"}
        if unknown or not raw.get("why") or not raw.get("steps"):
            raise ValueError(f"{path.name}: `why` and `steps` are needed; unknown: {sorted(unknown)}")
        config = raw.get("config", "")
        own = raw.get("own_server", False) or bool(config)
        found.append(Scenario(path.stem, own, config, raw.get("slow", False), raw["steps"]))
    return found


class _Stage:
    def __init__(self, drivers: Drivers, server: Server, mark: str) -> None:
        self.drivers = drivers
        self.server = server
        self.mark = mark
        self.names: dict[str, Any] = {}
        self.begun: dict[str, tuple[str, int]] = {}

    def fill(self, value: Any) -> Any:
        """`{s}` is a mark of this scenario alone, `$name.field` what an earlier step gave."""
        if isinstance(value, dict):
            if set(value) == {"$repeat"}:
                text, times = value["$repeat"]
                return text * times
            if set(value) == {"$times"}:
                return [self.fill(value["$times"][0]) for _ in range(value["$times"][1])]
            return {key.replace("{s}", self.mark): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if not isinstance(value, str):
            return value
        whole = re.fullmatch(r"\$(\w+)((?:\.\w+)*)", value)
        if whole and whole[1] in self.names:
            found = self.names[whole[1]]
            for part in whole[2].split(".")[1:]:
                found = found[int(part)] if isinstance(found, list) else found[part]
            return found
        return value.replace("{s}", self.mark)

    def command(self, step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        given = self.fill({key: step[key] for key in step if key not in _OWN})
        if given["do"] in ("connect", "host.start"):
            given.setdefault("url", self.server.url)
            given.setdefault("token", self.server.token)
        place = step.get("in", "main")
        if given["do"] not in ("connect", "open") and not given["do"].startswith("host."):
            # A client is made where it is first needed.
            driver = self.drivers.get(place)
            if not driver.connected and "client" not in given:
                ask(self, place, {"do": "connect", "url": self.server.url, "token": self.server.token})
                driver.connected = True
        return place, given


def _joined(event: dict[str, Any]) -> bool:
    return event["event"] == "log" and " works for " in event["text"]


_OWN = {"unready", "as", "expect", "refused", "in", "within_ms"}


def perform(scenario: Scenario, drivers: Drivers, server: Server, mark: str) -> None:
    """Does what a scenario says. Raises Unmet at the first thing that is not as expected."""
    stage = _Stage(drivers, server, mark)
    for number, step in enumerate(scenario.steps, 1):
        try:
            _step(stage, step)
        except Unmet as unmet:
            raise Unmet(f"step {number} {json.dumps(step)[:300]}: {unmet}") from None


def _step(stage: _Stage, step: dict[str, Any]) -> None:
    if "begin" in step:
        place, given = stage.command(step["begin"])
        stage.begun[step["as"]] = (place, stage.drivers.get(place).begin(given))
    elif "await" in step:
        place, number = stage.begun[step["await"]]
        _settle(stage, step, stage.drivers.get(place).answer(number, _STEP))
    elif "event" in step:
        wanted = stage.fill(step["event"])
        found = stage.drivers.event(lambda event: not mismatch(wanted, event), step.get("within_ms", 30_000) / 1000)
        if not found:
            raise Unmet(f"there was no event {wanted}")
        stage.names[step.get("as", "_")] = found
    elif "server" in step:
        getattr(stage.server, step["server"])()
    elif "process" in step:
        stage.drivers.signal(step["of"], step["process"])
    elif "exited" in step:
        process = stage.drivers.by_name[step["exited"]].process
        try:
            process.wait(step.get("within_ms", 30_000) / 1000)
        except Exception:
            raise Unmet("the process has not ended") from None
    elif "key" in step:
        made = stage.server.ask("POST", "/api/v1/keys", {"name": "sdk", "role": step["key"], **step.get("more", {})})
        stage.names[step["as"]] = made
    elif "revoke" in step:
        stage.server.ask("DELETE", f"/api/v1/keys/{stage.fill(step['revoke'])}")
    elif "check" in step:
        fault = mismatch(stage.fill(step["expect"]), stage.fill(step["check"]))
        if fault:
            raise Unmet(fault)
    elif "http" in step:
        found = stage.server.status(stage.fill(step["http"]), stage.fill(step["token"]))
        if found != step["status"]:
            raise Unmet(f"it answered {found}")
    elif "until" in step:
        _until(stage, step)
    else:
        place, given = stage.command(step)
        driver = stage.drivers.get(place)
        known = len(driver.events)
        _settle(stage, step, driver.answer(driver.begin(given), _STEP))
        if given["do"] == "host.start" and not step.get("unready"):
            if not driver.wait_for(lambda: any(map(_joined, driver.events[known:])), 15):
                raise Unmet("the host has not joined")


def ask(stage: _Stage, place: str, given: dict[str, Any]) -> Any:
    """A command whose success is taken for granted."""
    driver = stage.drivers.get(place)
    answer = driver.answer(driver.begin(given), _STEP)
    if not answer or "ok" not in answer:
        raise Unmet(f"{given['do']} gave {answer}")
    return answer["ok"]


def _until(stage: _Stage, step: dict[str, Any]) -> None:
    until = time.monotonic() + step.get("within_ms", 30_000) / 1000
    while True:
        place, given = stage.command(step["until"])
        found = ask(stage, place, given)
        fault = mismatch(stage.fill(step["expect"]), found)
        if not fault:
            stage.names[step.get("as", "_")] = found
            return
        if time.monotonic() > until:
            raise Unmet(f"in time it was not: {fault}")
        time.sleep(0.05)


def _settle(stage: _Stage, step: dict[str, Any], answer: dict[str, Any] | None) -> None:
    if answer is None:
        raise Unmet("there was no answer")
    if "refused" in step:
        if "error" not in answer:
            raise Unmet(f"a refusal was expected, and there was {json.dumps(answer['ok'])[:500]}")
        fault = mismatch(stage.fill(step["refused"]), answer["error"])
        if fault:
            raise Unmet(fault)
        return
    if "error" in answer:
        raise Unmet(f"it failed: {answer['error']}")
    stage.names[step.get("as", "_")] = answer["ok"]
    if "expect" in step:
        fault = mismatch(stage.fill(step["expect"]), answer["ok"])
        if fault:
            raise Unmet(fault)


def mismatch(wanted: Any, found: Any, path: str = "") -> str | None:
    """What is wrong with a value; None when it is as expected. Objects may have more fields than expected."""
    return next(_mismatches(wanted, found, path or "it"), None)


def _mismatches(wanted: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and len(wanted) == 1 and next(iter(wanted)).startswith("$"):
        ((word, operand),) = wanted.items()
        if not _holds(word, operand, found):
            yield f"{path}: {word} {json.dumps(operand)[:200]} was expected, and there is {json.dumps(found)[:500]}"
    elif isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{path}: an object was expected, and there is {json.dumps(found)[:500]}"
            return
        for key, inner in wanted.items():
            if key not in found:
                yield f"{path}.{key} is missing in {json.dumps(found)[:500]}"
            else:
                yield from _mismatches(inner, found[key], f"{path}.{key}")
    elif isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            yield f"{path}: {json.dumps(wanted)[:300]} was expected, and there is {json.dumps(found)[:500]}"
            return
        for number, (one, other) in enumerate(zip(wanted, found)):
            yield from _mismatches(one, other, f"{path}[{number}]")
    elif wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
        yield f"{path}: {json.dumps(wanted)[:300]} was expected, and there is {json.dumps(found)[:500]}"


def _holds(word: str, operand: Any, found: Any) -> bool:
    if word == "$contains":
        if isinstance(found, list):
            return any(mismatch(operand, one) is None for one in found)
        return operand in (found or "")
    if word == "$lacks":
        return not _holds("$contains", operand, found)
    if word == "$in":
        return found in operand
    if word == "$least":
        return isinstance(found, (int, float)) and found >= operand
    if word == "$most":
        return isinstance(found, (int, float)) and found <= operand
    if word == "$length":
        return len(found) == operand
    if word == "$numbered":
        # Each number once and in order, beginning with that one.
        return [one["seq"] for one in found] == list(range(operand, operand + len(found)))
    if word == "$each":
        return all(mismatch(operand, one) is None for one in found)
    if word == "$different":
        return len({json.dumps(one) for one in found}) == len(found)
    raise ValueError(f"there is no matcher {word}")
