"""The drivers: one small program per SDK that reads commands and tells what came of them, as lines of JSON."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent.parent


def commands(python: str, node: str) -> dict[str, list[str]]:
    """How the driver of each SDK is started. A further SDK needs a line here and a driver."""
    own = str(_HERE / "drivers" / "python_driver.py")
    script = str(_HERE / "drivers" / "typescript_driver.mjs")
    return {
        "python": [python, own],
        "python-async": [python, own, "--async"],
        "typescript": [node, script],
        # Without streams: hosts poll, and each task that is waited for is asked for.
        "python-poll": [python, own, "--poll"],
        "python-async-poll": [python, own, "--async", "--poll"],
        "typescript-poll": [node, script, "--poll"],
    }


class Driver:
    """One process of a driver."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
        environment["PYTHONPATH"] = str(_HERE.parent / "python" / "src")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=_HERE,
        )
        self._changed = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.errors: collections.deque[str] = collections.deque(maxlen=30)
        self._next = 0
        self._gone = False
        self.connected = False
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            with self._changed:
                if "id" in message:
                    self._answers[message["id"]] = message
                else:
                    self.events.append(message)
                self._changed.notify_all()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors.append(line.decode("utf-8", "replace").rstrip())

    def begin(self, command: dict[str, Any]) -> int:
        """Sends a command; its answer is waited for apart."""
        assert self.process.stdin
        with self._changed:
            self._next += 1
            number = self._next
        line = json.dumps({"id": number, **command}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        return number

    def answer(self, number: int, seconds: float) -> dict[str, Any] | None:
        """The answer to a command, or None when it did not come in time."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._gone, seconds)
            return self._answers.get(number)

    def wait_for(self, found: Callable[[], bool], seconds: float) -> bool:
        """Waits for events until something holds."""
        with self._changed:
            return self._changed.wait_for(found, seconds)

    def end(self) -> None:
        if self.process.poll() is None:
            # One that is stopped takes no other signal.
            self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except (BrokenPipeError, ValueError):
                    pass


class Pool:
    """Drivers that are used by one scenario after the other: starting one costs more than most scenarios."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._idle: list[Driver] = []

    def new(self, name: str) -> Driver:
        return Driver(name, self._command)

    def take(self) -> Driver:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self.new("main")

    def give_back(self, driver: Driver) -> None:
        """It is used again if it can be brought back to its beginning."""
        answer = driver.answer(driver.begin({"do": "reset"}), 15)
        if not answer or "ok" not in answer:
            driver.end()
            return
        driver.events.clear()
        driver.connected = False
        with self._lock:
            self._idle.append(driver)

    def end(self) -> None:
        for driver in self._idle:
            driver.end()


class Drivers:
    """The driver processes of one scenario, by the names that it gives them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.by_name: dict[str, Driver] = {}

    def get(self, name: str) -> Driver:
        if name not in self.by_name:
            self.by_name[name] = self._pool.take() if name == "main" else self._pool.new(name)
        return self.by_name[name]

    def signal(self, name: str, word: str) -> None:
        numbers = {
            "stop": signal.SIGSTOP,
            "continue": signal.SIGCONT,
            "term": signal.SIGTERM,
            "kill": signal.SIGKILL,
            "interrupt": signal.SIGINT,
        }
        self.by_name[name].process.send_signal(numbers[word])

    def event(self, wanted: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any] | None:
        """An event of any of them, or None when there was none in time."""
        until = time.monotonic() + seconds

        def look() -> dict[str, Any] | None:
            return next((e for d in list(self.by_name.values()) for e in list(d.events) if wanted(e)), None)

        while True:
            found = look()
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            waiting = list(self.by_name.values())
            if len(waiting) == 1:
                waiting[0].wait_for(lambda: look() is not None, left)
            else:
                # Several processes: each is listened to for a moment.
                for driver in waiting:
                    if driver.wait_for(lambda: look() is not None, 0.02):
                        break

    def story(self) -> str:
        """What they told, for whoever has to find a fault."""
        lines = []
        for name, driver in self.by_name.items():
            lines += [f"{name}: {json.dumps(event)[:300]}" for event in driver.events[-15:]]
            lines += [f"{name}! {line}" for line in driver.errors]
        return "\n".join(lines)

    def end(self, passed: bool) -> None:
        for name, driver in self.by_name.items():
            if name == "main" and passed:
                self._pool.give_back(driver)
            else:
                driver.end()
