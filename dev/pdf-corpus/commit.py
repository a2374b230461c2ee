"""Puts a corpus into the repository: `python commit.py FOLDER FIGURES`."""

import json
import os
import shutil
import sys

LARGEST = 33_000
HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.path.join(HERE, "../../crates/documents/tests/pdf-corpus")


def main():
    folder, figures = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
    truths = json.load(open(os.path.join(folder, "truth.json"), encoding="utf-8"))
    shutil.rmtree(PLACE, ignore_errors=True)
    os.makedirs(PLACE)
    chosen = {}
    for name, entry in truths.items():
        path = os.path.join(folder, name)
        if os.path.exists(path) and os.path.getsize(path) <= LARGEST:
            shutil.copy(path, PLACE)
            chosen[name] = {**entry, "mupdf": figures[name]["mupdf"], "pypdf": figures[name]["pypdf"]}
    shutil.copy(os.path.join(folder, "locked.pdf"), PLACE)
    with open(os.path.join(PLACE, "truth.json"), "w", encoding="utf-8") as out:
        json.dump(chosen, out, ensure_ascii=False, indent=0)
        out.write("\n")
    print(len(chosen), "files", sum(os.path.getsize(os.path.join(PLACE, name)) for name in os.listdir(PLACE)) >> 10, "KiB")


main()
