#!/usr/bin/env python3
"""Compares estimates with what runs took: every sample use with a double of a model provider, and some templates.

Each sample runs several times in one folder, with latencies and lengths of answers that a seed decides. The last run is
the one that counts: `kapelle runs estimate RUN` tells what was expected from the runs before, and what it took. The
figures are printed, and with `--write` put into `docs/guides/estimates.md`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs/guides/estimates.md"
RUNS_BEFORE = 4
"""Runs from which the last one is estimated."""

found = importlib.util.spec_from_file_location("uses", HERE.parent / "uses/run.py")
assert found and found.loader
uses = importlib.util.module_from_spec(found)
found.loader.exec_module(uses)
KAPELLE = uses.KAPELLE


class SlowModel(uses.Model):
    """The double of the sample uses; it takes its time, and the lengths of its answers differ."""

    def __init__(self, planned: list[dict[str, Any]], seed: int) -> None:
        super().__init__(planned)
        chance = random.Random(seed)
        handler = self._server.RequestHandlerClass
        answer = handler.do_POST

        def slow(handler_self: Any) -> None:
            time.sleep(min(2.0, chance.lognormvariate(-2.0, 0.35)))
            answer(handler_self)

        handler.do_POST = slow
        self.chance = chance


TEMPLATES: list[dict[str, Any]] = [
    {"name": "map-reduce", "template": "map-reduce", "arguments": ["--input", 'texts=["One text. It has two sentences.", "Another text.", "A third. It is long."]']},
    {"name": "map-reduce-large", "template": "map-reduce", "arguments": ["--input", "texts=" + json.dumps([f"Text {n}. It has two sentences." for n in range(20)])]},
    {"name": "batch-with-check", "template": "batch-with-check", "arguments": ["--input", 'texts=["One text. It has two sentences.", "Another text."]']},
    {"name": "fallback", "template": "fallback", "arguments": ["--input", "text=One text. It has two sentences."]},
    {"name": "evaluator-optimiser", "template": "evaluator-optimiser", "arguments": ["--input", "text=One text. It has two sentences."]},
]


def kapelle(place: pathlib.Path, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run([KAPELLE, *arguments, "--json"], cwd=place, env=environment, capture_output=True, text=True, timeout=uses.LIMIT)
    if done.returncode != 0:
        raise AssertionError(f"kapelle {' '.join(arguments)[:80]}: exit code {done.returncode}: {done.stderr[-800:]}")
    return json.loads(done.stdout)


def measured(place: pathlib.Path, file: str, arguments: list[str], extra: dict[str, str]) -> dict[str, Any]:
    """Runs a workflow several times and returns estimate and actual of the last run."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "ANTHROPIC_", "KAPELLE_", "AI_"))}
    environment = {**known, **extra, "NO_COLOR": "1", "KAPELLE_DATA": str(place / ".kapelle")}
    for _ in range(RUNS_BEFORE + 1):
        said = kapelle(place, environment, "run", file, *arguments)
    return kapelle(place, environment, "runs", "estimate", said["id"])


def samples() -> list[dict[str, Any]]:
    listed = []
    for folder in sorted(path.parent for path in uses.USES.glob("*/workflow.yaml")):
        check = json.loads((folder / "check.json").read_text())
        plain = [wanted for wanted in check["runs"] if not {"answer", "exit_code", "mail"} & set(wanted)]
        for wanted in plain:
            for kind in ("offline", "model"):
                if kind in wanted:
                    name = f"{folder.name}, {kind}" + (f" {plain.index(wanted) + 1}" if len(plain) > 1 else "")
                    listed.append({"name": name, "folder": folder, "kind": kind, "model": check.get("model", []), "arguments": wanted.get("arguments", [])})
    return [sample for sample in listed if sample["kind"] == "model"] + [{**sample, "kind": "model", "model": []} for sample in TEMPLATES] + [sample for sample in listed if sample["kind"] == "offline"]


def error(expected: int, actual: int) -> float | None:
    return abs(expected - actual) / actual if actual else None


def one(sample: dict[str, Any], seed: int) -> dict[str, Any]:
    model = SlowModel(sample["model"], seed) if sample["kind"] == "model" else None
    try:
        with tempfile.TemporaryDirectory(prefix="kapelle-estimate-") as temporary:
            place = pathlib.Path(temporary) / "project"
            file = "workflow.yaml"
            if "folder" in sample:
                shutil.copytree(sample["folder"], place)
            else:
                place.mkdir()
                subprocess.run([KAPELLE, "init"], cwd=place, check=True, capture_output=True)
                subprocess.run([KAPELLE, "workflows", "new", "it", "--template", sample["template"]], cwd=place, check=True, capture_output=True)
                file = "workflows/it.yaml"
            return measured(place, file, sample["arguments"], model.environment if model else {})
    finally:
        if model:
            model.end()


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def main() -> int:
    rows, times, costs = [], [], []
    for seed, sample in enumerate(samples()[:20]):
        try:
            said = one(sample, seed)
        except AssertionError as failure:
            print(f"{sample['name']}: {failure}", file=sys.stderr)
            return 1
        total, actual = said["total"], said["actual"]
        of_time = error(total["duration_ms"]["likely"], actual["duration_ms"])
        of_cost = error(total["cost_nanousd"]["likely"], actual["cost_nanousd"])
        times += [of_time] if of_time is not None else []
        costs += [of_cost] if of_cost is not None else []
        rows.append(f"| {sample['name']} | {total['duration_ms']['likely']} ms | {actual['duration_ms']} ms | {percent(of_time)} | {percent(of_cost)} |")
        print(rows[-1], flush=True)
    summary = (
        f"Median error over {len(rows)} sample runs: {percent(statistics.median(times))} of the time, "
        f"{percent(statistics.median(costs))} of the cost ({len(costs)} runs cost something)."
    )
    print(summary)
    if "--write" in sys.argv:
        table = "\n".join(["| sample | estimated | took | error of time | error of cost |", "|---|---|---|---|---|", *rows])
        text = re.sub(r"(<!-- figures -->\n).*?(<!-- end -->)", lambda at: f"{at[1]}{summary}\n\n{table}\n{at[2]}", PAGE.read_text(), flags=re.S)
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
