"""The processes of a measurement: on each side a server, a worker process and a client process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

HERE = Path(__file__).resolve().parent
PYTHON_SDK = HERE.parent.parent / "sdk" / "python" / "src"
NODE_SDK = HERE.parent.parent / "sdk" / "typescript" / "dist" / "index.js"
_TICKS = os.sysconf("SC_CLK_TCK")
_START = 60.0
"""Seconds for the start of a process on a busy machine."""


class Missing(Exception):
    """A peer is not installed."""


class Process:
    """A child process. Its messages go to a file of the stage's folder."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str], cwd: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._messages: IO[bytes] = self._log.open("wb")
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
        self._child = subprocess.Popen(
            command, cwd=cwd, env={**kept, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages
        )

    def line(self) -> str:
        """Reads the next line that it prints."""
        assert self._child.stdout
        found = self._child.stdout.readline().decode()
        if not found:
            self._child.wait()
            raise RuntimeError(f"{self.name} ended early: {self._log.read_text(errors='replace')[-2000:]}")
        return found.strip()

    def ask(self, command: dict[str, Any]) -> Any:
        """Gives a command and reads its answer."""
        assert self._child.stdin
        self._child.stdin.write(json.dumps(command).encode() + b"\n")
        self._child.stdin.flush()
        return json.loads(self.line())

    def processor(self) -> float:
        """Seconds of processor time, those of all its threads."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def end(self) -> None:
        """Ends it gracefully, or kills it."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(15)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._messages.close()


class Side:
    """One system: its server, its worker, its client."""

    def __init__(self, name: str, server: Process, worker: Process, client: Process) -> None:
        self.name = name
        self.processes = {"server": server, "worker": worker, "client": client}

    def ask(self, command: dict[str, Any]) -> Any:
        """Has the client perform a row. The answer also has the processor time of each process, in seconds."""
        before = {name: process.processor() for name, process in self.processes.items()}
        answer = self.processes["client"].ask(command)
        answer["processor"] = {name: process.processor() - before[name] for name, process in self.processes.items()}
        return answer


class Stage:
    """Both sides of a language. It starts what it needs, and ends it."""

    def __init__(self, sdk: str, binary: Path, folder: Path, slots: int) -> None:
        self.sdk = sdk
        self._binary = binary
        self._folder = folder / sdk
        self._slots = str(slots)
        self._processes: list[Process] = []
        self.sides: list[Side] = []

    def __enter__(self) -> Stage:
        shutil.rmtree(self._folder, ignore_errors=True)
        for part in ("kapelle", "redis"):
            (self._folder / part).mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The programs first, then their servers.
        for process in reversed(self._processes):
            process.end()
        shutil.rmtree(self._folder / "kapelle", ignore_errors=True)
        shutil.rmtree(self._folder / "redis", ignore_errors=True)

    def names(self) -> list[str]:
        """Returns the names of the sides."""
        return [side.name for side in self.sides]

    def _start(self, name: str, command: list[str], environment: dict[str, str] | None = None, cwd: Path = HERE) -> Process:
        process = Process(f"{name}", command, self._folder, environment or {}, cwd)
        self._processes.append(process)
        return process

    def _pair(self, name: str, server: Process, worker: list[str], client: list[str], environment: dict[str, str], cwd: Path) -> None:
        working = self._start(f"{name}-worker", worker, environment, cwd)
        asking = self._start(f"{name}-client", client, environment, cwd)
        for process in (working, asking):
            while process.line() != "ready":
                pass
        self.sides.append(Side(name, server, working, asking))

    def kapelle(self) -> None:
        """Starts the side of Kapelle."""
        if self.sdk == "node" and not NODE_SDK.is_file():
            raise SystemExit(f"there is no {NODE_SDK}: `npm ci && npm run build` in sdk/typescript makes it")
        folder = self._folder / "kapelle"
        server = self._start("kapelle", [str(self._binary), "serve", "--listen", "127.0.0.1:0"], cwd=folder)
        address = server.line().removeprefix("listening=")
        token = (folder / ".kapelle" / "token").read_text().strip()
        environment = {"KAPELLE_URL": f"http://{address}", "KAPELLE_TOKEN": token, "PYTHONPATH": str(PYTHON_SDK)}
        programs = HERE / "programs"
        run, end = (["node"], "mjs") if self.sdk == "node" else (["python3"], "py")
        worker = [*run, str(programs / f"kapelle_worker.{end}"), self._slots]
        self._pair("Kapelle", server, worker, [*run, str(programs / f"kapelle_client.{end}")], environment, programs)

    def peer(self) -> None:
        """Starts the side of the peer. Raises Missing when it is not installed."""
        peers = HERE / "peers"
        if not shutil.which("redis-server"):
            raise Missing("redis-server is not installed (`make peers`)")
        python = peers / ".venv" / "bin" / "python"
        if self.sdk == "node" and not (peers / "node_modules" / "bullmq").is_dir():
            raise Missing("BullMQ is not installed (`make peers`)")
        if self.sdk == "python" and not python.is_file():
            raise Missing("Celery is not installed (`make peers`)")
        port = _free_port()
        redis = self._start(
            "redis",
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(self._folder / "redis"), "--save", ""]
            + ["--appendonly", "yes", "--appendfsync", "always"],
        )
        _wait_for(port)
        environment = {"REDIS_PORT": str(port)}
        if self.sdk == "node":
            worker = ["node", str(peers / "bullmq_worker.mjs"), self._slots]
            self._pair("BullMQ", redis, worker, ["node", str(peers / "bullmq_client.mjs")], environment, peers)
        else:
            worker = [str(python), str(peers / "celery_worker.py"), self._slots]
            self._pair("Celery", redis, worker, [str(python), str(peers / "celery_client.py")], environment, peers)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
