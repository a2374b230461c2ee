#!/usr/bin/env python3
"""Makes docs/reference/cli.md from the help texts of the program."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

HEAD = """\
# Command line reference

`make reference` makes this page from the help texts of the program; do not edit it. `kapelle man` is the manual page,
`kapelle completions bash|zsh|fish` completes verbs and options in a shell.
"""
GLOBAL = "These options belong to every verb:"


def help_of(kapelle: str, verbs: list[str]) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run([kapelle, *verbs, "--help"], capture_output=True, text=True, check=True, env=environment)
    # The file may have another name, such as that of a build beside others.
    said = re.sub(rf"^(Usage: +| {{7}}){re.escape(pathlib.Path(kapelle).name)}\b", r"\1kapelle", done.stdout, flags=re.M)
    return "\n".join(line.rstrip() for line in said.splitlines()).strip()


def listed(text: str) -> list[str]:
    """The verbs below `Commands:` of a help text."""
    block = re.search(r"^Commands:\n((?:  .*\n?|\n(?=  ))+)", text, re.M)
    names = re.findall(r"^  ([a-z][a-z-]*)\b", block[1], re.M) if block else []
    return [name for name in names if name != "help"]


def entries(text: str) -> list[tuple[str, str]]:
    """The options of a help text, each with its lines."""
    block = re.search(r"^Options:\n((?:  .*\n?|\n(?=  ))+)", text, re.M)
    found: list[tuple[str, str]] = []
    for line in block[1].splitlines() if block else []:
        name = re.match(r" {2,6}(?:-\w, )?--([a-z-]+)", line)
        if name:
            found.append((name[1], line))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
    return found


def without(text: str, options: set[str]) -> str:
    """The help text without these options; a list that is empty then is gone, too."""
    kept = [(name, lines) for name, lines in entries(text) if name not in options]
    block = "Options:\n" + "\n".join(lines for _, lines in kept) if kept else ""
    text = re.sub(r"^Options:\n((?:  .*\n?|\n(?=  ))+)", lambda _: block + "\n", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def page(kapelle: str) -> str:
    root = help_of(kapelle, [])
    everywhere = {name for name, _ in entries(root)} - {"version"}
    shared = "Options:\n" + "\n".join(lines for name, lines in entries(root) if name != "version")
    parts = [HEAD, f"```text\n{without(root, everywhere)}\n```\n", f"{GLOBAL}\n\n```text\n{shared}\n```\n"]

    def verb(path: list[str]) -> None:
        text = help_of(kapelle, path)
        marks = "#" * (1 + len(path))
        parts.append(f"{marks} kapelle {' '.join(path)}\n\n```text\n{without(text, everywhere)}\n```\n")
        for name in listed(text):
            verb([*path, name])

    for name in listed(root):
        verb([name])
    return "\n".join(parts)
