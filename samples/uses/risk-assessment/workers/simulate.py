# ---
# description: Simulates years of a risk register, and gives expected loss, bad years and what each risk adds
# mode: task
# timeout: 2m
# input:
#   type: object
#   required: [risks]
#   properties:
#     risks:
#       type: array
#       minItems: 1
#       items:
#         type: object
#         required: [id, text, yearly, low, likely, high, control]
#         properties:
#           yearly: { type: number, minimum: 0 }
#           low: { type: number, minimum: 0 }
#           likely: { type: number, minimum: 0 }
#           high: { type: number, minimum: 0 }
#           control: { type: number, minimum: 0, maximum: 1 }
#     years: { type: integer, minimum: 100, maximum: 100000, default: 20000 }
#     seed: { type: integer, default: 1 }
# ---
"""Monte Carlo: events of a year are Poisson, the loss of an event is triangular, a control removes a share of events."""
import json
import math
import random
import sys

task = json.load(sys.stdin)
years, chance = task["years"], random.Random(task["seed"])


def events(rate):
    """Draws from a Poisson distribution (Knuth 1969, The Art of Computer Programming 2, 3.4.1)."""
    limit, count, product = math.exp(-rate), 0, chance.random()
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


for risk in task["risks"]:
    if not risk["low"] <= risk["likely"] <= risk["high"]:
        message = f"risks: {risk['id']}: low, likely and high must rise: {risk['low']}, {risk['likely']}, {risk['high']}"
        print(json.dumps({"error": {"category": "invalid_input", "message": message}}))
        sys.exit(1)
by_risk, totals = {risk["id"]: 0.0 for risk in task["risks"]}, []
for _ in range(years):
    total = 0.0
    for risk in task["risks"]:
        rate = risk["yearly"] * (1 - risk["control"])
        loss = sum(chance.triangular(risk["low"], risk["high"], risk["likely"]) for _ in range(events(rate)))
        by_risk[risk["id"]] += loss / years
        total += loss
    totals.append(total)
totals.sort()
ranked = sorted(task["risks"], key=lambda risk: -by_risk[risk["id"]])
print(json.dumps({
    "expected": round(sum(totals) / years),
    "bad_year": round(totals[int(years * 0.95)]),
    "very_bad_year": round(totals[int(years * 0.99)]),
    "ranked": [{"id": risk["id"], "text": risk["text"], "expected": round(by_risk[risk["id"]])} for risk in ranked],
}))
