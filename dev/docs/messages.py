#!/usr/bin/env python3
"""Looks for the messages of the guides in the source: a message that a page quotes and the program no longer has is a
fault. Looked at: code in the first column of the tables of these pages. Names, numbers and `...` in it stand for others."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = ["docs/guides/troubleshooting.md", "docs/guides/waiting.md"]
SPAN = re.compile(r"``(.+?) ?``|`([^`]+)`")
VARYING = re.compile(r"\.\.\.|`[^`]*`|127\.0\.0\.1:\d+|\$[\d.]+|\b\d+\b|/\S+|\"\w+\"|\bkapelle\b|\bprocess\b|\bviewer\b|\btask_\w*|\brun_\w*|[\[\](){}]")
SHORTEST = 9
"""Characters of a part of a message that is looked for."""


def source() -> str:
    """All sources on one line each, without the marks that join the lines of a literal."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "crates/*.rs"], cwd=ROOT, capture_output=True, text=True, check=True)
    text = "\n".join((ROOT / name).read_text("utf-8") for name in names.stdout.split())
    return re.sub(r"\\\n\s*", "", text).replace('\\"', '"')


def main() -> int:
    text = source() + "unknown key `kapelle: command not found`Connection refused"
    faults, looked = [], 0
    for page in PAGES:
        for number, line in enumerate((ROOT / page).read_text("utf-8").splitlines(), 1):
            if not line.startswith("| ") or line.startswith("| ---"):
                continue
            cell = line.split(" | ")[0]
            for match in SPAN.finditer(cell):
                for part in VARYING.split(match[1] or match[2]):
                    part = part.strip(" :;,.")
                    if len(part) < SHORTEST:
                        continue
                    looked += 1
                    if part not in text:
                        faults.append(f"{page}:{number}: no source has `{part}`")
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    print(f"{looked} parts of messages that the pages quote are in the source")
    return 1 if faults or looked < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
