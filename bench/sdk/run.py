#!/usr/bin/env python3
"""Kapelle through its SDKs beside BullMQ and Celery, in alternating pairs. `bench/README.md` explains the figures.

    make peers                                      # installs BullMQ, Celery and Redis
    make bench ARGS="sdk"                           # both languages, five pairs
    make bench ARGS="sdk --sdk node --row idle,steps --pairs 3"
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rows import NAMES, SDKS, measure
from stage import Missing, Stage
from table import render

ROOT = Path(__file__).resolve().parent.parent.parent


def listed(known: tuple[str, ...], text: str) -> list[str]:
    found = text.split(",")
    for name in found:
        if name not in known:
            raise argparse.ArgumentTypeError(f"`{name}` is not known; expected some of {', '.join(known)}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    binary = os.environ.get("KAPELLE_BINARY", ROOT / target / "release" / "kapelle")
    parser.add_argument("--server", type=Path, default=binary, help="the binary `kapelle`")
    parser.add_argument("--sdk", type=lambda text: listed(SDKS, text), default=list(SDKS), help="node, python, or both")
    parser.add_argument("--row", type=lambda text: listed(NAMES, text), default=list(NAMES), help=", ".join(NAMES))
    parser.add_argument("--pairs", type=int, default=5, help="how often each row is measured on both sides by turns")
    parser.add_argument("--slots", type=int, default=50, help="of the worker process")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: checks that everything runs")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--json", action="store_true", help="for a machine to read")
    parser.add_argument("--folder", type=Path, default=ROOT / target / "bench" / "sdk", help="on a real disk")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    if not given.server.is_file():
        print(f"there is no {given.server}: `make build` makes it", file=sys.stderr)
        return 2
    found = {}
    for sdk in given.sdk:
        with Stage(sdk, given.server.resolve(), given.folder, given.slots) as stage:
            stage.kapelle()
            try:
                if not given.alone:
                    stage.peer()
            except Missing as missing:
                print(f"{sdk}: {missing}; its rows are without a peer", file=sys.stderr)
            found[sdk] = measure(stage, given.row, given.pairs, given.quick)
            if not given.json:
                print(render(sdk, stage.names(), found[sdk]), flush=True)
    if given.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
