#!/usr/bin/env python3
"""Compares the pages of docs/reference with what the program and the sources of the SDKs say today, or writes them."""

from __future__ import annotations

import argparse
import difflib
import pathlib
import sys

import cli_reference
import python_reference
import typescript_reference

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/reference"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kapelle", required=True, help="the program")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    pages = {"cli.md": cli_reference.page(given.kapelle), "python.md": python_reference.page()}
    if typescript_reference.DIST.is_dir():
        pages["typescript.md"] = typescript_reference.page()
    else:
        print("SKIPPED docs/reference/typescript.md: sdk/typescript is not built")
    stale = 0
    for name, text in pages.items():
        path = FOLDER / name
        was = path.read_text("utf-8") if path.exists() else ""
        if given.write:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        elif was != text:
            stale += 1
            lines = difflib.unified_diff(was.splitlines(), text.splitlines(), f"docs/reference/{name}", "today", lineterm="", n=1)
            print("\n".join(list(lines)[:40]), file=sys.stderr)
            print(f"FAILED docs/reference/{name} is stale; run `make reference` and commit it", file=sys.stderr)
    print(f"{len(pages)} pages of the reference are {'written' if given.write else 'compared'}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
