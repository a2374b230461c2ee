"""Writes the corpus: `python generate.py FOLDER [MAKER ...]`. Each file's truth goes into FOLDER/truth.json."""

import json
import os
import sys
import traceback

import hand
import makers


def main():
    folder, wanted = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    place = os.path.join(folder, "truth.json")
    files = json.load(open(place, encoding="utf-8")) if os.path.exists(place) else {}
    for maker, make in {**makers.MAKERS, "by hand": hand.write}.items():
        if wanted and maker not in wanted:
            continue
        try:
            for name, truth in make(folder):
                files[name] = {"maker": maker, "truth": truth}
        except Exception:
            traceback.print_exc()
        print(maker, sum(entry["maker"] == maker for entry in files.values()))
    with open(place, "w", encoding="utf-8") as out:
        json.dump(dict(sorted(files.items())), out, ensure_ascii=False, indent=0)


main()
