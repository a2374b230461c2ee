# ---
# description: Finds payments in two countries within a time in which nobody travels so far
# mode: task
# input: { type: object, required: [transactions], properties: { transactions: { type: array }, hours: { type: number, default: 4 } } }
# ---
import datetime
import json
import sys

task = json.load(sys.stdin)
last, signals = {}, {}
for row in sorted(task["transactions"], key=lambda row: row["at"]):
    at, before = datetime.datetime.fromisoformat(row["at"]), last.get(row["card"])
    if before and before[1] != row["country"] and (at - before[0]).total_seconds() < task["hours"] * 3_600:
        minutes = int((at - before[0]).total_seconds() // 60)
        signals[row["id"]] = {"weight": 0.6, "why": f"{before[1]} and {row['country']} within {minutes} minutes"}
    last[row["card"]] = (at, row["country"])
print(json.dumps({"signals": signals}))
