#!/usr/bin/env python3
"""Kills the server and real hosts, in Python, Node and Rust, again and again under clients.

    run.py --server ../../../target/release/kapelle --rounds 20 [--seed 1] [--rust-host ../../../target/release/examples/crash_host]

Afterwards nothing that was acknowledged is lost, and nothing was completed twice. Exits with 1 and the faults otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
SDKS = HERE.parent.parent
sys.path.insert(0, str(SDKS / "python" / "src"))
sys.path.insert(0, str(HERE))

from checker import check  # noqa: E402
from kapelle import Client, KapelleError, NewTask, Task, WaitTimeout  # noqa: E402

CLIENTS = 12
KILLS_OF_A_FOLDER = 100
"""Kills of one folder; then everything may end, and the next begins in a fresh folder."""
KILLED_FOR = 30.0
"""Seconds of kills of one folder. Each start of the server begins the leases of killed hosts again, so their tasks wait until
the kills end, and clients wait for 60 seconds."""
DRAINED = 60.0
"""Seconds in which everything ends once nothing is killed: a lease, and what a busy machine needs."""


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, **more}


class Place:
    """A folder, its server, and its hosts."""

    def __init__(self, binary: str, rust_host: str, chance: random.Random) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kapelle-crash-"))
        self._binary = binary
        self._logs: IO[bytes] = (self.folder / "log").open("ab")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._listen = f"127.0.0.1:{found.getsockname()[1]}"
        self._server: subprocess.Popen[bytes] | None = None
        self._hosts: list[subprocess.Popen[bytes]] = []
        self._chance = chance
        self._programs = [
            ("node", ["node", str(HERE / "host.mjs")]),
            ("python", [sys.executable, str(HERE / "host.py")]),
            *([("rust", [rust_host])] if rust_host else []),
        ]
        self._made = 0
        self.start()
        self.token = (self.folder / ".kapelle" / "token").read_text().strip()
        for _ in range(2 * len(self._programs)):
            self._hosts.append(self._host())

    @property
    def url(self) -> str:
        return f"http://{self._listen}"

    def start(self) -> None:
        """Starts the server, and waits until it is ready."""
        command = [self._binary, "serve", "--listen", self._listen]
        self._server = subprocess.Popen(
            command, cwd=self.folder, env=environment(), stdout=subprocess.PIPE, stderr=self._logs
        )
        assert self._server.stdout
        line = self._server.stdout.readline()
        if not line.startswith(b"listening="):
            raise SystemExit(f"the server does not start: {line!r}\n{self.log()}")

    def kill(self) -> None:
        """Kills the server."""
        assert self._server and self._server.stdout
        self._server.kill()
        self._server.wait()
        self._server.stdout.close()

    def _host(self) -> subprocess.Popen[bytes]:
        name, program = self._programs[self._made % len(self._programs)]
        self._made += 1
        more = {"KAPELLE_URL": self.url, "KAPELLE_TOKEN": self.token, "PYTHONPATH": str(SDKS / "python" / "src")}
        command = [*program, f"{name}-{self._made}", str(self.folder / "executions")]
        return subprocess.Popen(command, cwd=self.folder, env=environment(**more), stdout=self._logs, stderr=self._logs)

    def replace_host(self) -> None:
        """Kills a host, and starts another, of the next kind."""
        at = self._chance.randrange(len(self._hosts))
        self._hosts[at].kill()
        self._hosts[at].wait()
        self._hosts[at] = self._host()

    def freeze_host(self, seconds: float) -> None:
        """Stops a host for a time."""
        host = self._chance.choice(self._hosts)
        host.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        host.send_signal(signal.SIGCONT)

    def executions(self) -> list[dict[str, Any]]:
        """Returns what the hosts wrote down. A kill may cut a line, whose function has not ended then."""
        found = []
        for line in (self.folder / "executions").read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def log(self) -> str:
        """Returns the end of all logs."""
        return (self.folder / "log").read_text(errors="replace")[-6_000:]

    def end(self, keep: bool) -> None:
        """Ends everything."""
        for host in self._hosts:
            host.kill()
            host.wait()
        self.kill()
        self._logs.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Load:
    """Clients that submit until they are stopped, and remember what they were told."""

    def __init__(self, url: str, token: str, chance: random.Random) -> None:
        self._place = (url, token)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self.submitted: dict[str, str] = {}
        self.looks: list[dict[str, Any]] = []
        self.errors: list[str] = []
        seeds = [chance.getrandbits(64) for _ in range(CLIENTS)]
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in seeds]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the clients once their tasks have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join(DRAINED * 2)
            if thread.is_alive():
                self.errors.append("a client still waits")

    def _key(self) -> str:
        with self._lock:
            self._next += 1
            return f"key-{self._next}"

    def _saw(self, task: Task, at: float) -> None:
        if task.ended:
            with self._lock:
                self.looks.append({"id": task.id, "attempt": task.attempt, "output": task.output, "at": at})

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)
        with Client(*self._place, retry_for=60) as client:
            while not self._stop.is_set():
                try:
                    self._one(client, chance)
                except (KapelleError, WaitTimeout) as error:
                    self.errors.append(f"{type(error).__name__}: {error}")

    def _one(self, client: Client, chance: random.Random) -> None:
        worker = chance.choice(["quick", "quick", "slow", "slow_async"])
        input = {"seconds": chance.random() * 0.2}
        way = chance.randrange(3)
        if way == 0:
            key = self._key()
            task = client.run(worker, input, idempotency_key=key, timeout=30)
            self._remember({key: task.id})
            self._saw(task, time.time())
        elif way == 1:
            key = self._key()
            task = client.tasks.submit(worker, input, idempotency_key=key, timeout=30)
            self._remember({key: task.id})
            self._saw(client.tasks.wait(task, timeout=DRAINED), time.time())
        else:
            key = self._key()
            ids = client.tasks.submit_batch([NewTask(worker, input, timeout=30)] * 20, idempotency_key=key)
            self._remember({f"{key}/{at}": id for at, id in enumerate(ids)})
            for task in client.tasks.as_completed(ids, timeout=DRAINED):
                self._saw(task, time.time())

    def _remember(self, made: dict[str, str]) -> None:
        with self._lock:
            self.submitted.update(made)


def everything(place: Place) -> dict[str, dict[str, Any]]:
    """Returns every task of the server."""
    with Client(place.url, place.token) as client:
        listed = [task.id for task in client.tasks.list(limit=1000).all()]
        return {task.id: dict(task.raw) for task in client.tasks.wait_all(listed, timeout=DRAINED)}


def known(place: Place) -> None:
    """Waits until the server knows the workers of the hosts."""
    until = time.monotonic() + 60
    with Client(place.url, place.token) as client:
        while not {"quick", "slow", "slow_async"} <= {worker["name"] for worker in client.workers.list()}:
            if time.monotonic() > until:
                raise SystemExit(f"the hosts do not register\n{place.log()}")
            time.sleep(0.05)


def episode(binary: str, rust_host: str, rounds: int, chance: random.Random) -> tuple[int, int, int, int]:
    """Plays one folder: kills, then calm, then the check. Returns counts of tasks, executions, and kills of hosts and of
    the server, of which a slow machine has less than `rounds`."""
    place = Place(binary, rust_host, chance)
    faults: list[str] = []
    host_kills = kills = 0
    try:
        known(place)
        load = Load(place.url, place.token, chance)
        until = time.monotonic() + KILLED_FOR
        while kills < rounds and time.monotonic() < until:
            kills += 1
            what = chance.randrange(6)
            if what < 2:
                place.replace_host()
                host_kills += 1
            elif what == 2:
                place.freeze_host(chance.random() * 0.5)
            time.sleep(0.05 + chance.random() * 0.6)
            place.kill()
            time.sleep(chance.random() * 0.1)
            place.start()
        load.stop()
        shown = everything(place)
        faults = load.errors + check(load.submitted, shown, load.looks, place.executions())
        if faults:
            print(f"{len(faults)} faults in {place.folder}:", *faults[:10], place.log(), sep="\n", file=sys.stderr)
            raise SystemExit(1)
        return len(shown), len(place.executions()), host_kills, kills
    finally:
        place.end(keep=bool(faults))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, help="the binary `kapelle`")
    parser.add_argument("--rust-host", default="", help="the built example `crash_host` of crates/host; none without it")
    parser.add_argument("--rounds", type=int, default=20, help="kills of the server")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    began, left, total = time.monotonic(), given.rounds, [0, 0, 0, 0]
    while left > 0:
        rust_host = os.path.abspath(given.rust_host) if given.rust_host else ""
        found = episode(os.path.abspath(given.server), rust_host, min(left, KILLS_OF_A_FOLDER), chance)
        total = [sum(pair) for pair in zip(total, found)]
        left -= found[-1]
    tasks, executions, host_kills, _ = total
    print(
        f"seed {given.seed}: {given.rounds} kills of the server and {host_kills} of hosts in {time.monotonic() - began:.0f} s; "
        f"{tasks} tasks in {executions} executions: 0 lost, 0 completed twice"
    )


if __name__ == "__main__":
    main()
