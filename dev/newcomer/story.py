"""What the stories of new users share: steps with an expectation, the program, its server, a double of a provider."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", ROOT / "target/release/kapelle"))
WAIT = 30
"""Seconds until an expectation that has not come true is a failure."""


class Story:
    """One newcomer: steps in an order, each with an expectation. It ends at the first that is not met."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: list[tuple[str, float]] = []
        self.begun = time.monotonic()
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="kapelle-newcomer-"))
        self._undo = contextlib.ExitStack()
        self._undo.callback(shutil.rmtree, self.place, ignore_errors=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # the table says what it was
            self.end()
            print(f"FAILED {self.name}, step {len(self.steps) + 1}: {text}\n  {error}", file=sys.stderr)
            sys.exit(1)
        self.steps.append((text, time.monotonic() - begun))

    def end(self) -> None:
        """Ends everything that the story started."""
        self._undo.close()

    def finish(self) -> None:
        self.end()
        for number, (text, took) in enumerate(self.steps, 1):
            print(f"  {number:2}  {text:<86} {took:6.2f} s")
        print(f"{self.name}: {len(self.steps)} steps in {time.monotonic() - self.begun:.1f} s")

    def folder(self, name: str) -> pathlib.Path:
        path = self.place / name
        path.mkdir(parents=True)
        return path

    def keep(self, thing: Any) -> Any:
        """Ends the thing with the story."""
        self.undo(thing.end)
        return thing

    def undo(self, done: Callable[[], Any]) -> None:
        """Does this at the end of the story, before what was to be done so far."""
        self._undo.callback(done)


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, command: str, code: int, out: str, err: str) -> None:
        self.command, self.code, self.out, self.err = command, code, out, err

    @property
    def all(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def has(self, *texts: str) -> "Said":
        for text in texts:
            assert text in self.all, f"`{self.command}` does not say `{text}` but:\n{self.all}"
        return self

    def lacks(self, *texts: str) -> "Said":
        for text in texts:
            assert text not in self.all, f"`{self.command}` says `{text}`:\n{self.all}"
        return self


class Project:
    """A folder, and the program `kapelle` in it, with an environment that has nothing of the caller's but PATH."""

    def __init__(self, folder: pathlib.Path, **environment: str) -> None:
        self.folder = folder
        home = folder.parent / (folder.name + "-home")
        home.mkdir(exist_ok=True)
        path = f"{os.path.dirname(KAPELLE)}:{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **environment}

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def run(self, *arguments: str, code: int | None = 0, timeout: float = 60, **environment: str) -> Said:
        """Runs a verb of kapelle. `code` is the expected exit code, `None` for any."""
        return self.command(KAPELLE, *arguments, code=code, timeout=timeout, **environment)

    def command(self, *command: str, code: int | None = 0, timeout: float = 60, **environment: str) -> Said:
        done = subprocess.run(command, cwd=self.folder, env={**self.environment, **environment}, capture_output=True,
                              text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        said = Said(" ".join(map(str, command)), done.returncode, done.stdout, done.stderr)
        assert code is None or said.code == code, f"`{said.command}` ended with {said.code}, not {code}:\n{said.all}"
        return said

    @property
    def token(self) -> str:
        return (self.folder / ".kapelle/token").read_text().strip()


class Running:
    """A program that goes on in the background; what it prints is kept."""

    def __init__(self, project: Project, *command: str, **environment: str) -> None:
        self.output = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(command, cwd=project.folder, env={**project.environment, **environment},
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()

    def prints(self, text: str, seconds: float = WAIT) -> str:
        """Waits for a line with the text and returns it."""
        with self._changed:
            if not self._changed.wait_for(lambda: text in self.output, seconds):
                raise AssertionError(f"`{text}` was not printed, but:\n{self.output}")
            return next(line for line in self.output.splitlines() if text in line)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait(10)

    def _signal(self, number: int) -> None:
        """Reaches the children of a shell, too: every program has a process group of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self) -> int:
        """Asks it to end and returns its exit code."""
        self._signal(signal.SIGTERM)
        return self.process.wait(WAIT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        else:
            self._signal(signal.SIGKILL)


class Server(Running):
    """`kapelle serve` in a project, once it listens."""

    def __init__(self, project: Project, *options: str, **environment: str) -> None:
        options = options or ("--listen", "127.0.0.1:0")
        super().__init__(project, KAPELLE, "serve", *options, **environment)
        self.address = self.prints("listening=").split("listening=")[1].strip()
        self.url = f"http://{self.address}"
        self.project = project

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Sends a request and returns status and body, read where it is JSON."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Content-Type": "application/json"}
        if token != "":
            headers["Authorization"] = "Bearer " + (token or self.project.token)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, json.loads(text) if "json" in (answer.headers["content-type"] or "") else text

    def get(self, path: str) -> Any:
        status, body = self.ask("GET", path)
        assert status == 200, f"GET {path}: {status} {body}"
        return body


class Provider:
    """A double of a model provider in the format of OpenAI. Every answer has 10 tokens of input and 5 of output."""

    KEY = "sk-of-the-provider"

    def __init__(self) -> None:
        self.calls = 0
        self.keys: set[str] = set()
        self.fail: int | None = None
        self.hold: str | None = None
        """A call with this text is not answered while it is set."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.calls += 1
                outer.keys.add(self.headers.get("authorization", "").removeprefix("Bearer "))
                if outer.fail:
                    return self.send(outer.fail, {"error": {"message": "planned", "type": "server_error"}})
                said = str(body["messages"][-1]["content"])
                end = time.monotonic() + WAIT
                while outer.hold is not None and outer.hold in said and time.monotonic() < end:
                    time.sleep(0.01)
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                message = {"role": "assistant", "content": f"about {said[:40]}"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self.send(200, {"id": f"chat-{outer.calls}", "object": "chat.completion", "created": 1,
                                "model": body["model"], "choices": [choice], "usage": usage})

            def send(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                with contextlib.suppress(OSError):  # the caller may be gone
                    self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(seen: Callable[[], Any], what: str, seconds: float = WAIT) -> Any:
    """Returns the first true value, looked for twenty times a second."""
    end = time.monotonic() + seconds
    while True:
        found = seen()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {seconds} s: {what}")
        time.sleep(0.05)
