# ---
# description: Combines the signals of several detectors for each payment
# mode: task
# input: { type: object, required: [transactions, detectors], properties: { transactions: { type: array }, detectors: { type: object }, hold: { type: number, default: 0.7 }, review: { type: number, default: 0.4 } } }
# ---
"""Signals are combined as independent evidence: 1 minus the product of what each leaves open (noisy or; Pearl 1988)."""
import json
import sys

task = json.load(sys.stdin)
answering = {name: found for name, found in task["detectors"].items() if found}
silent = sorted(set(task["detectors"]) - set(answering))
hold, review = [], []
for row in task["transactions"]:
    signals = {name: found["signals"][row["id"]] for name, found in answering.items() if row["id"] in found["signals"]}
    left = 1.0
    for signal in signals.values():
        left *= 1 - signal["weight"]
    found = {"id": row["id"], "card": row["card"], "amount": row["amount"], "score": round(1 - left, 2),
             "why": "; ".join(f"{name}: {signal['why']}" for name, signal in sorted(signals.items()))}
    if found["score"] >= task["hold"]:
        hold.append(found)
    elif found["score"] >= task["review"]:
        review.append(found)
by_score = lambda found: (-found["score"], found["id"])
print(json.dumps({"hold": sorted(hold, key=by_score), "review": sorted(review, key=by_score), "silent": silent}))
