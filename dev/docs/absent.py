#!/usr/bin/env python3
"""Checks that what the pages call missing is missing.

A sentence, list item or table row that says "not available", "not yet" or the like carries a comment that readers do not
see, with the probes that show it:

    <!-- absent: verb schedules; route /api/v1/schedules -->

    verb WORDS          the program has no such verb
    option WORDS        the program refuses this option
    route TEXT          the server's description has no path with this text
    config KEY          `kapelle.yaml` has no such key
    workflow YAML       a workflow with this line at its top is refused
    file PATH           the repository has no such file
    crate NAME          no package of this name is built in
    word TEXT           no source file of crates/ has this text
    sdk TEXT            no source file of the SDKs has this text
    unchecked REASON    nothing here can show it
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "sdk/conformance"))

from conformance.server import Server  # noqa: E402

CLAIM = re.compile(r"\b(not (yet )?available\b|not there yet|not yet\b|n[o']t exist yet|not .{1,60} yet\b|[Tt]here (is|are) no (?!longer))")
MARK = re.compile(r"<!-- absent: (.*?) -->", re.S)
PAGES = ["README.md", "docs/README.md", "docs/guides/*.md", "sdk/*/README.md"]


def blocks(text: str) -> list[tuple[int, str]]:
    """Paragraphs, list items and table rows, each with its line. A comment belongs to what follows it."""
    found: list[tuple[int, str]] = []
    fence, fresh = False, True
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = not fence
        if fence or line.startswith("```"):
            fresh = True
            continue
        begins = re.match(r"\s*([-*] |\d+\. |\||#)", line)
        if not line.strip():
            fresh = True
        elif fresh or begins and not found[-1][1].rstrip().endswith("-->"):
            found.append((number, line))
            fresh = False
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
    return found


class Probes:
    def __init__(self, kapelle: str) -> None:
        self.kapelle = kapelle
        self._paths: list[str] | None = None

    def run(self, arguments: list[str], files: dict[str, str]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                (pathlib.Path(folder) / name).write_text(text, "utf-8")
            environment = {"PATH": os.environ["PATH"], "HOME": folder}
            return subprocess.run([self.kapelle, *arguments], cwd=folder, env=environment, capture_output=True, text=True)

    def paths(self) -> list[str]:
        if self._paths is None:
            server = Server(self.kapelle)
            try:
                self._paths = list(server.ask("GET", "/openapi.json")["paths"])
            finally:
                server.end()
            assert "/api/v1/tasks" in self._paths
        return self._paths

    def absent(self, probe: str) -> bool:
        """Whether the thing is missing."""
        kind, _, what = probe.partition(" ")
        if kind == "verb":
            done = self.run([*what.split(), "--help"], {})
            return done.returncode == 2 and "unrecognized subcommand" in done.stderr
        if kind == "option":
            done = self.run(what.split(), {})
            return done.returncode == 2 and ("unexpected argument" in done.stderr or "invalid value" in done.stderr)
        if kind == "route":
            return not any(what in path for path in self.paths())
        if kind == "config":
            *outer, last = what.split(".")
            text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(outer)) + f"{'  ' * len(outer)}{last}: 1\n"
            done = self.run(["config", "show"], {"kapelle.yaml": text})
            return done.returncode != 0 and f"unknown key `{last}`" in done.stderr
        if kind == "workflow":
            text = f"name: probe\n{what}\nsteps: {{ a: {{ worker: log }} }}\n"
            assert self.run(["workflows", "validate", "w.yaml"], {"w.yaml": text.replace(what, "")}).returncode == 0
            return self.run(["workflows", "validate", "w.yaml"], {"w.yaml": text}).returncode != 0
        if kind == "file":
            return not any(ROOT.glob(what))
        if kind == "crate":
            lock = (ROOT / "Cargo.lock").read_text("utf-8")
            return f'name = "{what}"' not in lock
        if kind in ("word", "sdk"):
            where = ["crates"] if kind == "word" else ["sdk/python/src", "sdk/typescript/src"]
            files = subprocess.run(["git", "grep", "-Il", what, "--", *where], cwd=ROOT, capture_output=True, text=True)
            return not files.stdout.strip()
        if kind == "unchecked":
            return True
        raise SystemExit(f"the probe `{probe}` is not known")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kapelle", required=True)
    given = parser.parse_args()
    probes, faults, count = Probes(given.kapelle), [], 0
    # A probe that finds everything missing shows nothing: these are there.
    for known in ("verb serve", "route /api/v1/tasks", "config budgets", "workflow on: { completed: { workflow: x } }", "file README.md",
                  "crate tokio", "word fn main", "sdk submit", "option tasks --json"):
        assert not probes.absent(known), f"the probe `{known}` does not find what is there"
    for page in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        for line, block in blocks(page.read_text("utf-8")):
            mark = MARK.search(block)
            place = f"{page.relative_to(ROOT)}:{line}"
            claim = CLAIM.search(re.sub(r"<!--.*?-->", "", block, flags=re.S))
            if claim and not mark and not block.startswith("#"):
                faults.append(f"{place}: `{claim[0]}` needs a comment `absent` with what shows it")
            for probe in filter(None, (mark[1] if mark else "").split(";")):
                count += 1
                if not probes.absent(" ".join(probe.split())):
                    faults.append(f"{place}: `{' '.join(probe.split())}` exists: the text is stale")
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    print(f"{count} things that the pages call missing are missing")
    return 1 if faults or not count else 0


if __name__ == "__main__":
    sys.exit(main())
