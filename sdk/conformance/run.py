#!/usr/bin/env python3
"""Drives every SDK through the same scenarios, against a real server. See README.md for how scenarios are written.

    python3 run.py --server ../../target/release/kapelle [--sdk NAME,...] [--only PART,...] [--python VENV/bin/python]

Needs nothing but Python itself; the drivers need what their SDKs need.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conformance.drivers import Drivers, Pool, commands
from conformance.scenario import Scenario, Unmet, perform, scenarios
from conformance.server import Server

AT_ONCE = 20
"""Scenarios at once: they mostly wait."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, help="the binary `kapelle`")
    parser.add_argument("--sdk", default="python,python-async,typescript,python-poll,python-async-poll,typescript-poll")
    parser.add_argument("--only", default="", help="only scenarios whose names contain one of these")
    parser.add_argument("--python", default=sys.executable, help="the Python of its drivers")
    parser.add_argument("--node", default="node")
    parser.add_argument("--quiet", action="store_true", help="tell only of failures")
    return parser.parse_args()


def one(scenario: Scenario, sdk: str, pool: Pool, server: str, shared: Server, number: int) -> str | None:
    """Runs a scenario with an SDK; gives what is wrong."""
    drivers = Drivers(pool)
    own = None
    passed = False
    try:
        own = Server(server, scenario.config) if scenario.own_server else None
        perform(scenario, drivers, own or shared, f"{sdk[0]}{number}")
        passed = True
        return None
    except Unmet as unmet:
        return f"{unmet}\n{drivers.story()}"
    except Exception:
        return f"{traceback.format_exc()}\n{drivers.story()}"
    finally:
        drivers.end(passed)
        if own:
            own.end()


def main() -> int:
    given = arguments()
    only = [part for part in given.only.split(",") if part]
    found = [scenario for scenario in scenarios() if not only or any(part in scenario.name for part in only)]
    if not found:
        print("no such scenario", file=sys.stderr)
        return 2
    # The slow ones first, so that nobody waits for them alone at the end.
    pairs = [(scenario, sdk) for scenario in sorted(found, key=lambda s: not s.slow) for sdk in given.sdk.split(",")]
    pools = {sdk: Pool(command) for sdk, command in commands(given.python, given.node).items()}
    shared = Server(given.server)
    started = time.monotonic()
    failures = 0

    def work(pair: tuple[int, tuple[Scenario, str]]) -> tuple[Scenario, str, str | None, float]:
        number, (scenario, sdk) = pair
        began = time.monotonic()
        fault = one(scenario, sdk, pools[sdk], given.server, shared, number)
        return scenario, sdk, fault, time.monotonic() - began

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for scenario, sdk, fault, took in pool.map(work, enumerate(pairs)):
                if not fault and given.quiet:
                    continue
                print(f"{'FAILED' if fault else 'ok':6} {sdk:17} {scenario.name:28} {took:5.1f} s", flush=True)
                if fault:
                    failures += 1
                    print("    " + fault.replace("\n", "\n    "), flush=True)
    finally:
        shared.end()
        for pool in pools.values():
            pool.end()
    count, sdks = len(found), len(given.sdk.split(","))
    took = time.monotonic() - started
    print(f"{count} scenarios, {sdks} drivers, {len(pairs) - failures} passed, {failures} failed in {took:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
