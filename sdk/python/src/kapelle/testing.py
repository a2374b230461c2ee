"""For tests: a context without a server, and a server of its own for a test.

from kapelle.testing import FakeContext, TestServer, call_worker

assert shout(FakeContext(), {"text": "hi"}) == {"text": "HI"}

with TestServer() as server, server.serve(host):
    task = server.client().tasks.submit("shout", {"text": "hi"})
    assert server.client().tasks.wait(task.id, timeout=10).result() == {"text": "HI"}
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from . import _calls as calls
from . import _wire as wire
from ._options import known, known_fields
from ._place import Place
from .aio import AsyncClient
from .client import Client
from .context import AsyncContext, Attempt, Context
from .errors import KapelleError, NotFound
from .host import Host
from .model import Json, Seconds, seconds
from .output import Output

__all__ = ["AsyncFakeContext", "FakeContext", "TestServer", "call_worker", "server_fixture"]

_START = 30.0
"""Seconds for the start of a server, on a busy machine."""
_END = 10.0
"""Seconds between asking a server or host to end and killing it."""


class _Fake:
    """What both fake contexts have."""

    _attempt: Attempt

    def __init__(
        self,
        *,
        task_id: str = "task_1",
        run_id: str | None = None,
        step: str | None = None,
        worker: str = "worker",
        attempt: int = 1,
        last_attempt: bool = False,
        timeout: Seconds = 300,
        client: Any = None,
        gateway: tuple[str, str] | None = None,
        llm: Any = None,
        files: Mapping[str, bytes | str] | None = None,
    ) -> None:
        raw: dict[str, Any] = {
            "id": task_id,
            "run": run_id,
            "step": step,
            "worker": worker,
            "attempt": attempt,
            "last_attempt": last_attempt,
            "timeout_ms": round(seconds(timeout) * 1000),
            "lease_token": "fake",
        }
        if gateway:
            raw["gateway_url"], raw["gateway_token"] = gateway
        self.told: list[tuple[float, str | None]] = []
        """What the function told of its progress."""
        self._given_client, self._given_llm, self._files = client, llm, dict(files or {})
        super().__init__(Attempt(raw, Place("http://127.0.0.1:1", "none", True)))  # type: ignore[call-arg]

    def cancel(self, why: str = "not wanted") -> None:
        """Has the attempt not wanted any more, as when somebody cancels the task."""
        self._attempt.stop(why)

    def progress(self, done: float, message: str | None = None) -> None:
        """Notes how far the attempt is, in `told`."""
        self._attempt.tell(done, message)
        self.told.append((done, message))

    @property
    def client(self) -> Any:
        """The `client` that was given."""
        if self._given_client is None:
            raise KapelleError("ctx.client: this context has none; pass client=... to FakeContext")
        return self._given_client

    def _file(self, file: Mapping[str, Any] | str) -> bytes:
        hash = calls.file_hash(file)
        if hash not in self._files:
            raise NotFound(404, "not_found", f"there is no {hash}: pass files={{...}} to FakeContext")
        found = self._files[hash]
        return found.encode() if isinstance(found, str) else found


@known_fields
class FakeContext(_Fake, Context):
    """A context for calling a worker's function without a server: `shout(FakeContext(), {"text": "hi"})`.

    The defaults are those of a first attempt of several. `client`, `llm` and `gateway` (address and token) are what the
    context has under these names; `files` are the bytes of files, by their `sha256:...`.
    """

    @property
    def llm(self) -> Any:
        """The `llm` that was given."""
        return super().llm if self._given_llm is None else self._given_llm

    def file(self, file: Mapping[str, Any] | str) -> bytes:
        """The bytes that `files` has for it."""
        return self._file(file)


@known_fields
class AsyncFakeContext(_Fake, AsyncContext):
    """A context for calling a worker's async function without a server. Its arguments are those of `FakeContext`."""

    @property
    def llm(self) -> Any:
        """The `llm` that was given."""
        return super().llm if self._given_llm is None else self._given_llm

    async def file(self, file: Mapping[str, Any] | str) -> bytes:
        """The bytes that `files` has for it."""
        return self._file(file)


def call_worker(host: Host, name: str, input: Json = None, ctx: Context | AsyncContext | None = None) -> Json:
    """Calls the function of a worker of a host as the host would, without a server.

    Input and answer pass through JSON. Schemas are the server's and are not looked at. An async function is run on an
    event loop of its own.
    """
    function = host._functions.get(name)
    if function is None:
        raise ValueError(f"the host serves no worker `{name}`, but {', '.join(sorted(host._functions)) or 'none'}")
    if ctx is None:
        awaited = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__"))
        ctx = AsyncFakeContext(worker=name) if awaited else FakeContext(worker=name)
    answer = function(ctx, json.loads(wire.encode(input)))
    if inspect.iscoroutine(answer):
        answer = asyncio.run(answer)
    return json.loads(wire.encode(answer.value if isinstance(answer, Output) else answer))


@known_fields
class TestServer:
    """A server on a free port and in a folder of its own, which is gone after `close` or at the end of `with`.

    `binary` is the program `kapelle`; by default KAPELLE_BINARY, else `kapelle` of PATH. `config` is the text of
    kapelle.yaml, `files` are further files of the project by their names. The server has PATH and `env` as its
    environment and nothing else, so that no test spends money by accident.
    """

    __test__ = False  # pytest takes classes of such a name for tests.

    def __init__(
        self,
        *,
        binary: str | None = None,
        config: str | None = None,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kapelle-test-"))
        self._process: subprocess.Popen[str] | None = None
        try:
            for name, text in {**(files or {}), **({} if config is None else {"kapelle.yaml": config})}.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            self.url = f"http://{self._start(binary or os.environ.get('KAPELLE_BINARY') or 'kapelle', env or {})}"
            self.token = (self.folder / ".kapelle" / "token").read_text("ascii").strip()
        except BaseException:
            self.close()
            raise

    def _start(self, binary: str, env: Mapping[str, str]) -> str:
        environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        log = self.folder / "server.log"
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    [binary, "serve", "--listen", "127.0.0.1:0"],
                    cwd=self.folder,
                    env={**environment, "HOME": str(self.folder), **env},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
        except OSError as error:
            raise KapelleError(f"{binary} could not be started: {error}; build it or set KAPELLE_BINARY") from error
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert self._process.stdout
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True).start()
        with contextlib.suppress(queue.Empty):
            while line := lines.get(timeout=_START):
                if line.startswith("listening="):
                    return line.strip().removeprefix("listening=")
            raise KapelleError(f"{binary} ended instead of listening: {log.read_text('utf-8', 'replace')[-2000:]}")
        raise KapelleError(f"{binary} does not listen after {_START:g} s: {log.read_text('utf-8', 'replace')[-2000:]}")

    @known("TestServer.client")
    def client(self, *, retry_for: Seconds = 5.0) -> Client:
        """A client of this server, with all rights."""
        return Client(self.url, self.token, retry_for=retry_for)

    @known("TestServer.async_client")
    def async_client(self, *, retry_for: Seconds = 5.0) -> AsyncClient:
        """An async client of this server, with all rights."""
        return AsyncClient(self.url, self.token, retry_for=retry_for)

    @contextlib.contextmanager
    def serve(self, host: Host) -> Iterator[Host]:
        """Runs a host for this server, whatever server it was made for. Begins once its workers are known."""
        given, host._given = host._given, (self.url, self.token)
        failed: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(host.serve())
            except BaseException as error:
                failed.append(error)

        host._forget()
        thread = threading.Thread(target=work, name="kapelle-host", daemon=True)
        thread.start()
        try:
            host.wait_ready(_START)
            yield host
        finally:
            # The second time without waiting for what is under way.
            for _ in range(2):
                if thread.is_alive():
                    host.stop()
                    thread.join(_END)
            host._given = given
        if failed:
            raise failed[0]

    def close(self) -> None:
        """Stops the server and removes its folder."""
        process, self._process = self._process, None
        if process and process.poll() is None:
            process.terminate()
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_END)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> TestServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(lines: IO[str], found: queue.SimpleQueue[str]) -> None:
    with lines:
        for line in lines:
            found.put(line)
    found.put("")


def server_fixture() -> Iterator[TestServer]:
    """A fixture for pytest: `server = pytest.fixture(scope="session")(server_fixture)`. It does not need pytest."""
    with TestServer() as server:
        yield server
