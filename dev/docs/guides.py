#!/usr/bin/env python3
"""Runs the snippets of all pages, each page in a project of its own: `sh`, `python`, `js` and `yaml`. A snippet of `rust`
stands in a file that the tests compile and run, and is compared with it.

A snippet of `sh`, `python` or `js` has a comment before it that says what is expected, as in sdk/conformance/snippets.py,
which runs the pages of the SDKs. Here there are also:

    <!-- test: file NAME -->         the snippet is written to that file of the project; YAML is checked as well
    <!-- test: in FILE -->           the snippet of Rust stands in that file of the repository, line by line
    <!-- setup ... -->               lines of shell that run before the next snippet
    <!-- page: server, provider -->  at the top: a server runs while the snippets do; servers have a double of a provider.
                                     `openai`: the package openai is in the project's .venv

Without a comment, YAML is read by the program as what it is: a workflow (`steps`), a worker (`kind`), else a
`kapelle.yaml`. `<!-- test: steps -->` says that it holds steps of a workflow, `<!-- test: workflow -->` other keys of one.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "sdk/conformance"), str(ROOT / "dev/newcomer")]

import snippets as of_sdks  # noqa: E402
import story  # noqa: E402

PAGES = ["README.md", "docs/README.md", "docs/guides/*.md", "docs/documents.md"]
COMMANDS = {"python": "py", "js": "mjs", "sh": "sh"}
FENCE = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->\n|"
    r"(?:^<!-- test(?::? *(?P<wish>[^\n]*?))? -->\n)?^ *```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```",
    re.M | re.S,
)
SDKS = os.environ.get("OPENAI_SDKS", "")
"""The folder into which dev/official-sdks.sh installed the official SDKs."""


class Wrong(Exception):
    """A snippet does not do what the page says."""


@dataclass
class Snippet:
    place: str
    language: str
    text: str
    wish: str | None

    @property
    def word(self) -> str:
        return (self.wish or "").split(" ")[0]

    @property
    def rest(self) -> str:
        return (self.wish or "").partition(" ")[2].strip()


def snippets(path: pathlib.Path, text: str) -> list[Snippet]:
    found = []
    of_sdk = str(path.relative_to(ROOT)) in of_sdks.PAGES
    for match in FENCE.finditer(text):
        place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        if match["setup"] is not None:
            found.append(Snippet(place, "sh", match["setup"], ""))
            continue
        language, wish = match["language"], match["wish"]
        told = match[0].startswith("<!-- test")
        if language in COMMANDS and not of_sdk:
            if not told:
                raise Wrong(f"{place}: this snippet does not say what is expected of it")
            found.append(Snippet(place, language, textwrap.dedent(match["text"]), wish or ""))
        elif language == "rust" and told:
            found.append(Snippet(place, language, textwrap.dedent(match["text"]), wish or ""))
        elif language == "yaml":
            found.append(Snippet(place, language, textwrap.dedent(match["text"]), wish if told else None))
        elif not language:
            raise Wrong(f"{place}: this block does not say its language; `text` is one that is not run")
    return found


class Page:
    """The project of a page, with its server if the page has one."""

    def __init__(self, path: pathlib.Path) -> None:
        self.text = path.read_text("utf-8")
        self.found = snippets(path, self.text)
        mark = re.search(r"^<!-- page: (.*?) -->", self.text, re.M)
        self.traits = {trait.strip() for trait in mark[1].split(",")} if mark else set()
        self.story = story.Story(str(path.relative_to(ROOT)))
        environment = {"KAPELLE_LISTEN": "127.0.0.1:0", "PYTHONPATH": str(ROOT / "sdk/python/src"), "PYTHONUNBUFFERED": "1",
                       "REPOSITORY": str(ROOT)}
        if "provider" in self.traits:
            provider = self.story.keep(story.Provider())
            environment |= {"OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": provider.KEY}
        self.project = story.Project(self.story.folder("project"), **environment)
        modules = self.project.folder / "node_modules"
        modules.mkdir()
        (modules / "kapelle").symlink_to(ROOT / "sdk/typescript")
        if "openai" in self.traits:
            (self.project.folder / ".venv").symlink_to(f"{SDKS}/python")
        self.background: list[story.Running] = []
        if "server" in self.traits:
            self.story.keep(story.Server(self.project))

    def run(self) -> int:
        count = 0
        try:
            for number, snippet in enumerate(self.found):
                if snippet.word != "not":
                    self.one(snippet, number)
                    count += 1
            for running in self.background:
                running.stop()
        finally:
            self.story.end()
        return count

    def one(self, snippet: Snippet, number: int) -> None:
        if snippet.language == "rust":
            return check_rust(snippet)
        if snippet.word == "file":
            path = self.project.folder / snippet.rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(snippet.text, "utf-8")
            path.chmod(0o755)
        if snippet.language == "yaml":
            # Settings of a script are read together with it: later snippets show whether they hold.
            return None if snippet.rest.endswith(".worker.yaml") else check_yaml(snippet)
        if snippet.word != "file":
            self.start(snippet, number)

    def start(self, snippet: Snippet, number: int) -> None:
        name = f"snippet_{number}.{COMMANDS[snippet.language]}"
        (self.project.folder / name).write_text(snippet.text, "utf-8")
        python = f"{SDKS}/python/bin/python" if SDKS and os.path.exists(f"{SDKS}/python/bin/python") else sys.executable
        command = {"python": [python], "js": ["node"], "sh": ["sh", "-eu"]}[snippet.language]
        running = self.story.keep(story.Running(self.project, *command, name, **self.place()))
        if snippet.word == "runs":
            self.background.append(running)
            running.prints(snippet.rest, 15)
            return
        if snippet.word not in ("", "prints", "fails"):
            raise Wrong(f"{snippet.place}: `{snippet.wish}` is not known")
        try:
            code = running.process.wait(60)
        except Exception:
            raise Wrong(f"{snippet.place}: it does not end:\n{running.output}") from None
        if (code == 0) != (snippet.word != "fails"):
            raise Wrong(f"{snippet.place}: it ended with {code}:\n{running.output}")
        for part in filter(None, snippet.rest.split("|")):
            try:
                running.prints(part.strip(), 2)
            except AssertionError as error:
                raise Wrong(f"{snippet.place}: {error}") from None

    def place(self) -> dict[str, str]:
        """The server of the folder, for curl."""
        data = self.project.folder / ".kapelle"
        found = {}
        if (data / "token").exists():
            found["TOKEN"] = (data / "token").read_text().strip()
        if (data / "address").exists():
            found["URL"] = (data / "address").read_text().split()[0]
        return found


def check_rust(snippet: Snippet) -> None:
    """Compares the snippet with the file that it comes from."""
    if snippet.word != "in":
        raise Wrong(f"{snippet.place}: write `test: in FILE` above a snippet of Rust")
    source = (ROOT / snippet.rest).read_text("utf-8").splitlines()
    wanted = [line.rstrip() for line in snippet.text.strip("\n").splitlines()]
    for start in range(len(source) - len(wanted) + 1):
        there = textwrap.dedent("\n".join(source[start : start + len(wanted)])).splitlines()
        if [line.rstrip() for line in there] == wanted:
            return
    raise Wrong(f"{snippet.place}: these lines do not stand in {snippet.rest}")


def check_yaml(snippet: Snippet) -> None:
    """Has the program read the snippet as what it is."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kapelle-yaml-"))
    try:
        project = story.Project(folder / "p")
        project.folder.mkdir(exist_ok=True)
        text = snippet.text
        name = snippet.rest if snippet.word == "file" else ""
        if snippet.word == "steps":
            text = "name: part\nsteps:\n" + textwrap.indent(text, "  ")
        elif snippet.word == "workflow":
            text = f"name: part\nsteps: {{ a: {{ worker: log, with: {{ message: hi }} }} }}\n{text}"
        elif snippet.word not in ("", "file"):
            raise Wrong(f"{snippet.place}: `{snippet.wish}` is not known")
        if re.search(r"^kind:", text, re.M) or name.startswith("workers/"):
            project.write({"workers/w.yaml": text})
            secrets = set(re.findall(r"\$\{secret:([\w-]+)\}", text))
            if secrets:
                lines = [f"  {secret}: {{ env: SECRET }}\n" for secret in sorted(secrets)]
                project.write({"kapelle.yaml": "secrets:\n" + "".join(lines)})
            worker = re.search(r"^name: *(\S+)", text, re.M)
            said = project.run("workers", "show", worker[1] if worker else "w", code=None)
        elif re.search(r"^steps:", text, re.M):
            stubs = set(re.findall(r"\bworker: *([a-z_][\w-]*)", text))
            known = project.run("workers", "list", "--json").out
            project.write({f"workers/{stub}.yaml": f"kind: prompt\nname: {stub}\nprompt: x\n" for stub in stubs if f'"{stub}"' not in known})
            project.write({"workflows/w.yaml": text})
            said = project.run("workflows", "validate", "workflows/w.yaml", code=None)
        else:
            project.write({"kapelle.yaml": text})
            said = project.run("config", "show", code=None)
        if said.code != 0:
            raise Wrong(f"{snippet.place}: the program does not read this YAML:\n{said.all}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--page", default="", help="only pages whose path contains this")
    given = parser.parse_args()
    begun, count, skipped = time.monotonic(), 0, 0
    try:
        for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
            if given.page not in str(path):
                continue
            page = Page(path)
            if "openai" in page.traits and not os.path.exists(f"{SDKS}/python"):
                print(f"SKIPPED {path.relative_to(ROOT)}: the package openai is not there")
                skipped += 1
                page.story.end()
            else:
                count += page.run()
    except (Wrong, AssertionError) as wrong:
        print(f"FAILED {wrong}", file=sys.stderr)
        return 1
    print(f"{count} snippets of the pages ran in {time.monotonic() - begun:.0f} s")
    return 1 if not count or (skipped and os.environ.get("KAPELLE_TEST_REQUIRE")) else 0


if __name__ == "__main__":
    sys.exit(main())
