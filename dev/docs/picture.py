#!/usr/bin/env python3
"""Makes docs/images/first-run.svg: a terminal with the real output of a run of the sample document, without a key.
`KAPELLE` names the program."""

from __future__ import annotations

import html
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", ROOT / "target/release/kapelle"))
COMMAND = ["run", "workflows/complete-analysis.yaml", "--input", "document=@samples/annual-report.pdf"]
WIDTH = 98
WORDS = {"succeeded": "#3fb950", "failed": "#f85149", "degraded": "#d29922", "warning": "#d29922"}


def lines() -> list[str]:
    """What a person sees: the progress, and the beginning of the report."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("workflows", "samples", "workers"):
            shutil.copytree(ROOT / name, pathlib.Path(folder) / name, ignore=shutil.ignore_patterns("node_modules", ".venv"))
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8"}
        done = subprocess.run([KAPELLE, *COMMAND], cwd=folder, env=environment, capture_output=True, text=True)
    progress = [line for line in done.stderr.splitlines() if line.strip()]
    report = done.stdout.splitlines()
    shown = ["$ kapelle " + " ".join(COMMAND[:2]) + " \\", "    " + " ".join(COMMAND[2:]), *progress, ""]
    for line in [line for line in report if line.strip() and not line.startswith("|--")][:10]:
        shown += textwrap.wrap(line, WIDTH)[:4]
    return [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in shown]


def svg(text: list[str]) -> str:
    height = 22 * len(text) + 60
    rows = []
    for number, line in enumerate(text):
        spans, at = [], 0
        for match in re.finditer(r"\b(" + "|".join(WORDS) + r")\b", line):
            spans.append(html.escape(line[at:match.start()], quote=False))
            spans.append(f'<tspan fill="{WORDS[match[0]]}">{match[0]}</tspan>')
            at = match.end()
        spans.append(html.escape(line[at:], quote=False))
        fill = ' fill="#ffffff"' if line.startswith(("$", "    --input")) else ""
        rows.append(f'<text x="20" y="{58 + 22 * number}"{fill} xml:space="preserve">{"".join(spans)}</text>')
    width = WIDTH * 8.45 + 40
    dots = "".join(f'<circle cx="{22 + 20 * n}" cy="20" r="6" fill="{color}"/>' for n, color in enumerate(("#ff5f57", "#febc2e", "#28c840")))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        'aria-label="Terminal: a run of the sample document; eight steps succeeded, one needs a model">'
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117"/>{dots}'
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" fill="#c9d1d9">\n'
        + "\n".join(rows) + "\n</g></svg>\n"
    )


if __name__ == "__main__":
    path = ROOT / "docs/images/first-run.svg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(svg(lines()), "utf-8")
    print(path.relative_to(ROOT))
