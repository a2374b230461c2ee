# ---
# description: Names the specialists that a record points to and the findings that cannot wait, each with its line
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string, minLength: 1 } } }
# ---
"""Rules with their source lines. They sort the work of people who decide; they are no diagnosis."""
import json
import re
import sys

POINTS = {
    "cardiology": r"chest pain|shortness of breath|\bECG\b|palpitation",
    "nephrology": r"creatinine|eGFR|kidney|dialysis",
    "endocrinology": r"HbA1c|diabetes|thyroid|drinks more",
    "rheumatology": r"swollen|stiff in the morning|joint",
    "neurology": r"seizure|numb|migraine",
}


def number(pattern, line):
    found = re.search(pattern, line, re.IGNORECASE)
    return found and float(found.group(1))


URGENT = [  # name, and the test of one line
    ("potassium above 5.5", lambda line: (number(r"potassium (\d+\.?\d*)", line) or 0) > 5.5),
    ("eGFR below 45", lambda line: (number(r"eGFR (\d+)", line) or 99) < 45),
    ("systolic pressure above 180", lambda line: (number(r"pressure (\d+)/", line) or 0) > 180),
]

text = json.load(sys.stdin)["text"]
lines = [line.strip() for line in text.splitlines()]
referrals, urgent = {}, []
for at, line in enumerate(lines, 1):
    for specialist, pattern in POINTS.items():
        for found in re.findall(pattern, line, re.IGNORECASE):
            referrals.setdefault(specialist, []).append(f"line {at}: {found}")
    urgent += [{"finding": name, "line": at} for name, test in URGENT if test(line)]
drugs = re.findall(r"\b([a-z]+) \d+ mg", text)
if "ibuprofen" in drugs and any(found["finding"] == "eGFR below 45" for found in urgent):
    at = next(at for at, line in enumerate(lines, 1) if "ibuprofen" in line)
    urgent.append({"finding": "ibuprofen together with a low eGFR", "line": at})
print(json.dumps({"referrals": referrals, "urgent": urgent, "drugs": sorted(set(drugs))}))
