"""Measures what readers get out of the corpus, word by word.

    python measure.py FOLDER --with pypdf mupdf 'kapelle=PROGRAM {}' ...

A reader is `pypdf`, `mupdf`, or a name and a command that prints the text of the file `{}`. Recall is the share of the
words of the truth that were read, precision the share of the words read that are in the truth; both count a word as often
as it stands. Each reader has 20 seconds for a file.
"""

import argparse
import collections
import json
import os
import re
import resource
import signal
import subprocess
import time
import unicodedata

CJK = r"\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+|[^\w\s]", re.UNICODE)


def words(text):
    """Letters and digits in a row; each character of Chinese and Japanese; signs count as words too."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").lower()
    text = re.sub(r"(\w)[-\u2010]\n(\w)", r"\1\2", text)
    return collections.Counter(WORD.findall(text))


def score(truth, text):
    """Words of the truth, words read, words common to both."""
    truth, got = words(truth), words(text)
    return sum(truth.values()), sum(got.values()), sum((truth & got).values())


def pypdf(path):
    import logging
    import pypdf as lib
    logging.disable(logging.CRITICAL)
    reader = lib.PdfReader(path)
    if reader.is_encrypted:
        reader.decrypt("")
    return "\n".join(page.extract_text() for page in reader.pages)


def mupdf(path):
    import pymupdf
    pymupdf.TOOLS.mupdf_display_errors(False)
    return "\n".join(page.get_text() for page in pymupdf.open(path))


def run(reader, path):
    start = time.monotonic()
    if callable(reader):
        signal.alarm(20)
        try:
            text, code, why = reader(path), 0, ""
        except Exception as error:
            text, code, why = "", 1, repr(error)
        signal.alarm(0)
    else:
        try:
            done = subprocess.run([part.replace("{}", path) for part in reader], capture_output=True, timeout=20)
            text, code, why = done.stdout.decode("utf-8", "replace"), done.returncode, done.stderr.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            text, code, why = "", "timeout", ""
    return text, code, why, time.monotonic() - start


def too_slow(*_):
    raise TimeoutError


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--with", dest="readers", nargs="+", required=True)
    options.add_argument("--only", default="")
    options.add_argument("--show", action="store_true", help="print every file below 99 percent")
    options.add_argument("--out", help="a JSON file for the figures")
    options = options.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    truths = json.load(open(os.path.join(options.folder, "truth.json"), encoding="utf-8"))
    known = {"pypdf": pypdf, "mupdf": mupdf}
    figures = {}
    for reader in options.readers:
        name, _, command = reader.partition("=")
        command = known.get(name) or command.split()
        totals, failed, slowest, start = collections.defaultdict(lambda: [0, 0, 0, 0]), [], (0, ""), time.monotonic()
        for file, entry in truths.items():
            path = os.path.join(options.folder, file)
            if options.only not in file or not os.path.exists(path):
                continue
            text, code, why, seconds = run(command, path)
            truth, got, common = score(entry["truth"], text)
            figures.setdefault(file, {})[name] = [truth, got, common]
            for maker in (entry["maker"], "all"):
                for at, count in enumerate((truth, got, common, 1)):
                    totals[maker][at] += count
            slowest = max(slowest, (seconds, file))
            if code != 0:
                failed.append((file, code, why.strip().splitlines()[-1:] or ""))
            if options.show and (common < 0.99 * truth or common < 0.99 * got):
                print(f"  {name} {file}: {common}/{truth} read, {got} in all: {text[:100]!r}")
        print(f"{name}: {time.monotonic() - start:.1f} s, slowest {slowest[0]:.2f} s {slowest[1]}, {len(failed)} failed")
        for maker, (truth, got, common, count) in totals.items():
            print(f"  {maker:12} {count:4} files  recall {100 * common / max(truth, 1):6.2f}  precision {100 * common / max(got, 1):6.2f}")
        for file, code, why in failed:
            print(f"  failed {file}: {code} {why}")
    print("peak of a reader's memory, MiB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as out:
            json.dump(figures, out)


main()
