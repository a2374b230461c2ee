#!/usr/bin/env python3
"""Follows every relative link of every page: the file exists, and so does the heading that it names. Every page of docs/
is linked from docs/README.md."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
INDEX = ROOT / "docs/README.md"


def anchors(text: str) -> set[str]:
    """The anchors of a page, by the rules of GitHub."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.+?)\s*$", FENCE.sub("", text), re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        plain = re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).replace(" ", "-")
        name, number = plain, 0
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.add(name)
    return found


def main() -> int:
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = [ROOT / name for name in names.stdout.split()]
    faults, followed = [], 0
    for page in pages:
        text = page.read_text("utf-8")
        for match in LINK.finditer(FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)):
            target = match[1] or match[2]
            if re.match(r"[a-z]+:", target):
                continue
            followed += 1
            line = text.count("\n", 0, match.start()) + 1
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                faults.append(f"{page.relative_to(ROOT)}:{line}: {target} does not exist")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8")):
                faults.append(f"{page.relative_to(ROOT)}:{line}: {target}: that page has no such heading")
    linked = {(INDEX.parent / (match[1] or "").partition("#")[0]).resolve() for match in LINK.finditer(INDEX.read_text("utf-8"))}
    for page in pages:
        if page.is_relative_to(ROOT / "docs") and "decisions" not in page.parts and page != INDEX and page not in linked:
            faults.append(f"{page.relative_to(ROOT)}: docs/README.md does not link it")
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    print(f"{followed} links of {len(pages)} pages were followed")
    return 1 if faults or not followed else 0


if __name__ == "__main__":
    sys.exit(main())
