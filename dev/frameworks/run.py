#!/usr/bin/env python3
"""Runs a small script of each framework under the server, with a double of a provider, and prints what was metered and
replayed.

    run.py              all frameworks
    run.py --light      those that install within a minute
    run.py NAME ...     frameworks by name

Each script asks two questions. The provider refuses the second one once, so the script fails and its task is repeated: a
framework is replayed when the repeated task does not pay for the first question again.

A framework that cannot be installed is skipped and counted; with KAPELLE_TEST_REQUIRE set a skip is a failure. The
packages are installed into `frameworks` beside the build, and are kept.
"""

from __future__ import annotations

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
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", TARGET / "release/kapelle"))
DOUBLE = TARGET / "release/scripted-openai"
KIT = TARGET / "frameworks"
LIMIT = 180
"""Seconds after which a task has failed."""
RULES = """
key: sk-canary
rules:
  - { contains: question two, times: 1, status: 400, body: '{"error":{"message":"no","type":"invalid_request_error"}}' }
  - { usage: { prompt_tokens: 9, completion_tokens: 3 } }
"""


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


def ask(address: str, token: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{address}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def follow(address: str, token: str, worker: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Submits the task of a script. Returns its end, and the calls that were charged to it."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        scripts = ask(address, token, "/api/v1/scripts")["scripts"]
        if all(script["standing"] == "started" for script in scripts) and scripts:
            break
        time.sleep(0.2)
    else:
        raise TimeoutError(f"not started: {scripts}")
    retry = {"max_attempts": 3, "delay_ms": 1}
    task = ask(address, token, "/api/v1/tasks", {"worker": worker, "input": {}, "retry": retry, "timeout_ms": LIMIT * 1000})
    ended = task
    while time.monotonic() < until:
        ended = ask(address, token, f"/api/v1/tasks/{task['id']}?wait_ms=20000")
        if ended["state"] in ("succeeded", "failed", "cancelled"):
            break
    calls = ask(address, token, "/api/v1/calls?limit=100")["calls"]
    charged = [call for call in calls if call.get("task") == task["id"] and call.get("cost_nanousd")]
    return ended, charged


def tried(framework: dict[str, Any]) -> dict[str, str]:
    """Runs the script of one framework. Returns its row of the matrix."""
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
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
        (place / "rules.yaml").write_text(RULES)
        running: list[Process] = []
        try:
            running.append(Process([str(DOUBLE), str(place / "rules.yaml")], place / "double.log", {}))
            env = {
                "OPENAI_API_KEY": "sk-canary",
                "OPENAI_BASE_URL": f"http://{running[0].address()}/v1",
                "KAPELLE_DATA": str(place / "data"),
            }
            command = [KAPELLE, "serve", "--listen", "127.0.0.1:0"]
            running.append(Process(command, place / "server.log", env))
            address = running[1].address()
            token = (place / "data/token").read_text().strip()
            ended, charged = follow(address, token, "asks")
        except (OSError, TimeoutError, KeyError) as error:
            return {"metered": "no", "replayed": "no", "why": str(error)}
        finally:
            for process in reversed(running):
                process.end()
    repeated = ended["state"] == "succeeded" and ended["attempt"] == 2
    row = {
        "metered": "yes" if len(charged) >= 2 else "no",
        "replayed": "yes" if repeated and len(charged) == 2 else "no",
    }
    if "no" in row.values():
        error = (ended.get("error") or {}).get("message", "")
        row["why"] = f"{ended['state']} in attempt {ended['attempt']}, {len(charged)} charged calls: {error[-600:]}"
    return row


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
    print("| framework | version | metered | replayed |\n|---|---|---|---|", flush=True)
    for framework in frameworks:
        why = install(framework)
        if why:
            skipped += 1
            print(f"SKIPPED {framework['name']}: {why}", file=sys.stderr)
            continue
        row = tried(framework)
        print(f"| {framework['name']} | {version(framework)} | {row['metered']} | {row['replayed']} |", flush=True)
        if "why" in row:
            failed += 1
            print(f"{framework['name']}: {row['why']}", file=sys.stderr)
    tested = len(frameworks) - skipped
    print(f"{tested - failed} passed, {failed} failed, {skipped} skipped")
    if failed or (skipped and os.environ.get("KAPELLE_TEST_REQUIRE")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
