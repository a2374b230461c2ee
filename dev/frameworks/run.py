#!/usr/bin/env python3
"""Runs a small script of each framework under the server, with a double of a provider, and prints a row for each.

    run.py              all frameworks
    run.py --light      those that install within a minute
    run.py NAME ...     frameworks by name

Each script asks two questions. The row of a framework says "yes" where

    recognised   the server says which packages the script asks models by
    metered      both answers were charged to the task
    replayed     the server was killed (SIGKILL) during the second question, and after its restart the task succeeded
                 without asking the provider the first question again
    capped       with the budget spent, a further task is parked before the provider is asked anything

A framework that cannot be installed is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure. The
packages are installed into `frameworks` beside the build, and are kept. Two frameworks are tried side by side.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", TARGET / "release/kapelle"))
DOUBLE = TARGET / "release/scripted-openai"
KIT = TARGET / "frameworks"
LIMIT = 180
"""Seconds after which a task has failed."""
COLUMNS = ("recognised", "metered", "capped", "replayed")
ENDS = ("succeeded", "failed", "cancelled")


def rules(framework: dict[str, Any]) -> str:
    """Returns the rules of the double: the second question gets no answer the first time."""
    usual = {"usage": {"prompt_tokens": 9, "completion_tokens": 3}, **framework.get("answer", {})}
    return json.dumps({"key": "sk-canary", "rules": [{"contains": "question two", "times": 1, "hang": True}, usual]})


def is_python(framework: dict[str, Any]) -> bool:
    return framework["script"].endswith(".py")


def folder(framework: dict[str, Any]) -> pathlib.Path:
    return KIT / pathlib.Path(framework["script"]).name.replace(".", "-")


def install(framework: dict[str, Any]) -> str | None:
    """Installs the packages of a framework. Returns the reason why they cannot be installed."""
    place = folder(framework)
    done = place / "installed"
    wanted = " ".join(framework["packages"])
    if done.exists() and done.read_text() == wanted:
        return None
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if is_python(framework):
        steps = [
            [sys.executable, "-m", "venv", str(place / "venv")],
            [str(place / "venv/bin/python"), "-m", "pip", "install", "-q", *framework["packages"]],
        ]
    else:
        steps = [["npm", "install", "--prefix", str(place), "--no-audit", "--no-fund", *framework["packages"]]]
    for step in steps:
        try:
            ended = subprocess.run(step, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            return str(error)
        if ended.returncode != 0:
            lines = ended.stderr.strip().splitlines()
            return lines[-1] if lines else f"{step[0]} failed"
    done.write_text(wanted)
    return None


def version(framework: dict[str, Any]) -> str:
    """Returns the version of the first package."""
    package = framework["packages"][0]
    place = folder(framework)
    if not is_python(framework):
        return json.loads((place / "node_modules" / package / "package.json").read_text())["version"]
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    python = str(place / "venv/bin/python")
    return subprocess.check_output([python, "-c", code, package.split("[")[0]], text=True).strip()


class Process:
    """A program that says where it listens."""

    def __init__(self, command: list[str], log: pathlib.Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **env}, cwd=log.parent
            )

    def address(self) -> str:
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            found = re.search(r"^listening=(\S+)", self.log.read_text(), re.M)
            if found:
                return found[1]
            time.sleep(0.05)
        raise SystemExit(f"{self.process.args} does not listen:\n{self.log.read_text()}")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


def ask(address: str, token: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{address}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def until(what: str, look: Callable[[], Any]) -> Any:
    """Looks until there is something to see."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {LIMIT} s")


class Trial:
    """A server with the script of one framework, and the double."""

    def __init__(self, framework: dict[str, Any], place: pathlib.Path) -> None:
        self.place = place
        workers = place / "workers"
        workers.mkdir()
        # The name of the script must not hide the package that it imports.
        file = "asks" + pathlib.Path(framework["script"]).suffix
        shutil.copy(HERE / "scripts" / framework["script"], workers / file)
        (workers / "asks.worker.yaml").write_text("mode: task\nlimits: { memory: 4GiB }\n")
        if is_python(framework):
            (workers / ".venv").symlink_to(folder(framework) / "venv")
        else:
            (workers / "node_modules").symlink_to(folder(framework) / "node_modules")
        (place / "kapelle.yaml").write_text("models: { fast: { chain: [openai/gpt-4o-mini] } }\n")
        (place / "rules.yaml").write_text(rules(framework))
        (place / "home").mkdir()
        self.double = Process([str(DOUBLE), str(place / "rules.yaml")], place / "double.log", {})
        self.serve()

    def serve(self) -> None:
        env = {
            "OPENAI_API_KEY": "sk-canary",
            "OPENAI_BASE_URL": f"http://{self.double.address()}/v1",
            "KAPELLE_DATA": str(self.place / "data"),
            # A framework finds no settings of the person who runs this.
            "HOME": str(self.place / "home"),
        }
        self.server = Process([KAPELLE, "serve", "--listen", "127.0.0.1:0"], self.place / "server.log", env)
        self.address = self.server.address()
        self.token = (self.place / "data/token").read_text().strip()

    def end(self) -> None:
        self.server.end()
        self.double.end()

    def ask(self, path: str, body: Any = None) -> Any:
        return ask(self.address, self.token, path, body)

    def asked(self) -> list[str]:
        """Returns the bodies that the provider got."""
        with urllib.request.urlopen(f"http://{self.double.address()}/_calls", timeout=60) as answer:
            return [json.dumps(call["body"]) for call in json.load(answer)]

    def script(self) -> dict[str, Any]:
        def started() -> Any:
            scripts = self.ask("/api/v1/scripts")["scripts"]
            return scripts and all(script["standing"] == "started" for script in scripts) and scripts[0]

        return until("the start of the script", started)

    def submit(self) -> str:
        retry = {"max_attempts": 3, "delay_ms": 1}
        body = {"worker": "asks", "input": {}, "retry": retry, "timeout_ms": LIMIT * 1000}
        return self.ask("/api/v1/tasks", body)["id"]

    def ended(self, task: str, states: tuple[str, ...] = ENDS) -> dict[str, Any]:
        def look() -> Any:
            shown = self.ask(f"/api/v1/tasks/{task}?wait_ms=1000")
            return shown["state"] in states and shown

        return until(f"the end of {task}", look)


def tried(framework: dict[str, Any]) -> dict[str, str]:
    """Runs the script of one framework. Returns its row of the matrix."""
    row = dict.fromkeys(COLUMNS, "no")
    with tempfile.TemporaryDirectory() as name:
        trial = Trial(framework, pathlib.Path(name))
        try:
            row["why"] = judged(trial, row)
        except (OSError, TimeoutError, KeyError) as error:
            row["why"] = f"{error}; the server said: {trial.server.log.read_text()[-600:]}"
        finally:
            trial.end()
    return row


def judged(trial: Trial, row: dict[str, str]) -> str:
    """Fills the row. Returns what was seen, for people."""
    second = "question two"
    row["recognised"] = "yes" if trial.script()["uses"] not in ("", "-") else "no"
    task = trial.submit()

    def asked_twice() -> Any:
        shown = trial.ask(f"/api/v1/tasks/{task}")
        return shown["state"] in ENDS or any(second in body for body in trial.asked())

    until("the second question", asked_twice)
    before = len(trial.asked())
    trial.server.kill()
    trial.serve()
    trial.script()
    ended = trial.ended(task)
    again = trial.asked()[before:]
    calls = [call for call in trial.ask("/api/v1/calls?limit=100")["calls"] if call.get("task") == task]
    paid = [call for call in calls if call["state"] == "charged" and call.get("cost_nanousd")]
    succeeded = ended["state"] == "succeeded"
    row["metered"] = "yes" if succeeded and len(paid) >= 2 else "no"
    row["replayed"] = "yes" if succeeded and again and all(second in body for body in again) else "no"
    trial.ask("/api/v1/budgets", {"account": "day", "limit_nanousd": 1})
    seen = len(trial.asked())
    capped = trial.ended(trial.submit(), (*ENDS, "parked"))
    row["capped"] = "yes" if capped["state"] == "parked" and len(trial.asked()) == seen else "no"
    error = (ended.get("error") or {}).get("message", "")
    return (
        f"{ended['state']} in attempt {ended['attempt']}, calls {[call['state'] for call in calls]}, {len(again)} after "
        f"the restart, then {capped['state']}: {error[-600:]}"
    )


def installed_and_tried(framework: dict[str, Any]) -> tuple[dict[str, Any], str | None, dict[str, str]]:
    """Returns the framework, why it cannot be installed, and its row."""
    why = install(framework)
    return framework, why, {} if why else tried(framework)


def main() -> None:
    wanted = sys.argv[1:]
    frameworks = json.loads((HERE / "frameworks.json").read_text())
    if wanted == ["--light"]:
        frameworks = [framework for framework in frameworks if framework.get("light")]
    elif wanted:
        unknown = set(wanted) - {framework["name"] for framework in frameworks}
        if unknown:
            raise SystemExit(f"unknown frameworks: {', '.join(sorted(unknown))}")
        frameworks = [framework for framework in frameworks if framework["name"] in wanted]
    skipped, failed = 0, 0
    print(f"| framework | version | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for framework, why, row in pool.map(installed_and_tried, frameworks):
            if why:
                skipped += 1
                print(f"SKIPPED {framework['name']}: {why}", file=sys.stderr)
                continue
            cells = " | ".join(row[column] for column in COLUMNS)
            print(f"| {framework['name']} | {version(framework)} | {cells} |", flush=True)
            if any(row[column] == "no" for column in COLUMNS):
                failed += 1
                print(f"{framework['name']}: {row['why']}", file=sys.stderr)
    tested = len(frameworks) - skipped
    print(f"{tested - failed} passed, {failed} failed, {skipped} skipped")
    if failed or (skipped and os.environ.get("KAPELLE_TEST_REQUIRE")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
