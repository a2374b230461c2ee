"""The real server on a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class Server:
    """A server that can be killed and started again at the same address."""

    def __init__(self, binary: str, config: str = "") -> None:
        self.binary = str(Path(binary).resolve())
        self.folder = Path(tempfile.mkdtemp(prefix="kapelle-sdk-"))
        if config:
            (self.folder / "kapelle.yaml").write_text(config, "utf-8")
        self._process: subprocess.Popen[str] | None = None
        self.address = "127.0.0.1:0"
        self.start()
        self.token = (self.folder / ".kapelle" / "token").read_text().strip()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        self._process = subprocess.Popen(
            [self.binary, "serve", "--listen", self.address],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "server.log").open("ab"),
            text=True,
        )
        assert self._process.stdout
        # An end instead of a line means that it did not start; the line comes once it listens.
        line = self._process.stdout.readline()
        if not line.startswith("listening="):
            raise RuntimeError(f"the server did not start: {(self.folder / 'server.log').read_text()}")
        self.address = line.strip().removeprefix("listening=")

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """In good order."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """A plain request, for what no SDK has: keys."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token or self.token}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.load(response)

    def status(self, url: str, token: str) -> int:
        """How a request with that token is answered."""
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def end(self) -> None:
        assert self._process
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
