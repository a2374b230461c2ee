# ---
# description: Finds payments of a kind, in a country or at an hour that is new for the card
# mode: task
# input: { type: object, required: [transactions], properties: { transactions: { type: array }, known: { type: integer, default: 8 } } }
# ---
import collections
import json
import sys

task = json.load(sys.stdin)
seen, signals = collections.defaultdict(list), {}
for row in sorted(task["transactions"], key=lambda row: row["at"]):
    before = seen[row["card"]]
    if len(before) >= task["known"]:
        new = [name for name in ("merchant", "country") if row[name] not in {old[name] for old in before}]
        if int(row["at"][11:13]) < 5:
            new.append("hour of the night")
        if len(new) >= 2:
            signals[row["id"]] = {"weight": 0.15 * len(new), "why": f"new for this card: {', '.join(new)}"}
    before.append(row)
print(json.dumps({"signals": signals}))
