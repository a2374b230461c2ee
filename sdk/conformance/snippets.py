#!/usr/bin/env python3
"""Runs the snippets of the guides, in the order of each page, in a fresh project with a real server.

A snippet is a fenced block of `python`, `js` or `sh`. The line before it says what is expected of it, as a comment that
readers do not see:

    <!-- test -->                   it ends well
    <!-- test: prints TEXT -->      and prints that text; several texts are parted by |
    <!-- test: fails TEXT -->       it ends with an error and prints that text
    <!-- test: runs TEXT -->        it goes on in the background once it has printed that text; asked to end, it ends well
    <!-- test: not REASON -->       it is not run

In the pages of the SDKs every snippet must have such a line.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conformance.server import Server

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = {
    "docs/guides/sdk.md": True,
    "docs/guides/testing.md": True,
    "sdk/README.md": True,
    "sdk/python/README.md": True,
    "sdk/typescript/README.md": True,
    "docs/guides/workers.md": False,
}
"""The pages, and whether every snippet must say what is expected of it."""
EXAMPLES = {"python": "sdk/python/examples/{}.py", "js": "sdk/typescript/examples/{}.mjs"}
"""A host and a client of each language; the client prints what came of everything it asked for."""
COUNTED = "words: 4|batch:|1, 2, 3|refused:|0 started|succeeded|run:"
LANGUAGES = {"python": "py", "js": "mjs", "sh": "sh"}
FENCE = re.compile(
    r"(?:^<!-- test(?::? *(?P<wish>[^\n]*?))? -->\n)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```", re.M | re.S
)


@dataclass
class Snippet:
    page: str
    line: int
    language: str
    text: str
    wish: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Wrong(Exception):
    """A snippet does not do what the page says."""


def snippets(page: str, strict: bool) -> list[Snippet]:
    text = (ROOT / page).read_text("utf-8")
    found = []
    for match in FENCE.finditer(text):
        if match["language"] not in LANGUAGES:
            continue
        line = text.count("\n", 0, match.start("text"))
        told = match.group(0).startswith("<!-- test")
        if told:
            found.append(Snippet(page, line, match["language"], match["text"], match["wish"] or ""))
        elif strict:
            raise Wrong(f"{page}:{line}: this snippet does not say what is expected of it")
    return found


class Running:
    """A snippet at work."""

    def __init__(self, snippet: Snippet, number: int, server: Server, python: str) -> None:
        path = server.folder / f"snippet_{number}.{LANGUAGES[snippet.language]}"
        path.write_text(snippet.text, "utf-8")
        command = {"python": [python], "js": ["node"], "sh": ["sh", "-eu"]}[snippet.language]
        environment = {
            "PATH": f"{Path(server.binary).parent}:{os.environ['PATH']}",
            "HOME": str(server.folder),
            "PYTHONPATH": str(ROOT / "sdk/python/src"),
            "PYTHONUNBUFFERED": "1",
            # For curl; the SDKs find both in the folder.
            "TOKEN": server.token,
            "URL": server.url,
        }
        self.snippet = snippet
        self.output = ""
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*command, path.name],
            cwd=server.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()

    def prints(self, text: str, seconds: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: text in self.output, seconds):
                raise Wrong(f"{self.snippet}: it did not print `{text}` but:\n{self.output}")

    def ends(self, well: bool, seconds: float = 30) -> None:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Wrong(f"{self.snippet}: it does not end:\n{self.output}") from None
        if (code == 0) != well:
            raise Wrong(f"{self.snippet}: it ended with {code}:\n{self.output}")

    def asked_to_end(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        # A shell is ended by the signal itself.
        self.ends(True) if self.snippet.language != "sh" else self._process.wait(10)

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


def examples(language: str) -> list[Snippet]:
    paths = {name: EXAMPLES[language].format(name) for name in ("host", "client")}
    wishes = {"host": "runs works for", "client": f"prints {COUNTED}"}
    return [Snippet(path, 1, language, (ROOT / path).read_text("utf-8"), wishes[name]) for name, path in paths.items()]


def run(found: list[Snippet], server: str, python: str, languages: set[str]) -> int:
    found = [s for s in found if s.language in languages and not (s.wish or "").startswith("not ")]
    if not found:
        return 0
    own = Server(server)
    modules = own.folder / "node_modules"
    modules.mkdir()
    (modules / "kapelle").symlink_to(ROOT / "sdk/typescript")
    background: list[Running] = []
    try:
        for number, snippet in enumerate(found):
            running = Running(snippet, number, own, python)
            word, _, text = (snippet.wish or "").partition(" ")
            if word == "runs":
                background.append(running)
                running.prints(text, 15)
                continue
            if word not in ("", "prints", "fails"):
                raise Wrong(f"{snippet}: `{snippet.wish}` is not known")
            running.ends(word != "fails")
            for part in filter(None, text.split("|")):
                running.prints(part.strip(), 2)
        for running in background:
            running.asked_to_end()
        return len(found)
    finally:
        for running in background:
            running.kill()
        own.end()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--sdk", default="python,typescript")
    parser.add_argument("--page", default="", help="only pages whose path contains this")
    given = parser.parse_args()
    languages = {"sh"} if shutil.which("curl") else set()
    languages |= {"python"} if "python" in given.sdk else set()
    languages |= {"js"} if "typescript" in given.sdk else set()
    started, count = time.monotonic(), 0
    try:
        for page, strict in PAGES.items():
            if given.page in page:
                count += run(snippets(page, strict), given.server, sys.executable, languages)
        for language in EXAMPLES if not given.page else ():
            count += run(examples(language), given.server, sys.executable, languages)
    except Wrong as wrong:
        print(f"FAILED {wrong}", file=sys.stderr)
        return 1
    if count == 0:
        print("no snippet was run", file=sys.stderr)
        return 1
    print(f"{count} snippets of the guides ran in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
