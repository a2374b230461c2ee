# ---
# description: Finds payments far above what the card usually pays
# mode: task
# input: { type: object, required: [transactions], properties: { transactions: { type: array }, limit: { type: number, default: 5 } } }
# ---
"""Distance from the card's median in median absolute deviations (Iglewicz and Hoaglin 1993), of logarithms of amounts."""
import collections
import json
import math
import statistics
import sys

task = json.load(sys.stdin)
by_card = collections.defaultdict(list)
for row in task["transactions"]:
    by_card[row["card"]].append(math.log(max(row["amount"], 0.01)))
signals = {}
for row in task["transactions"]:
    known = by_card[row["card"]]
    if len(known) < 8:
        continue
    middle = statistics.median(known)
    spread = statistics.median(abs(value - middle) for value in known) or 0.1
    far = 0.6745 * (math.log(max(row["amount"], 0.01)) - middle) / spread
    if far > task["limit"]:
        signals[row["id"]] = {"weight": 0.5, "why": f"{row['amount']:,.2f} is {far:.1f} deviations above the card's median"}
print(json.dumps({"signals": signals}))
