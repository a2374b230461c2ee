# ---
# description: Finds bursts of payments with one card
# mode: task
# input: { type: object, required: [transactions], properties: { transactions: { type: array }, most: { type: integer, default: 3 }, minutes: { type: integer, default: 30 } } }
# ---
import collections
import datetime
import json
import sys

task = json.load(sys.stdin)
window, signals = datetime.timedelta(minutes=task["minutes"]), {}
recent = collections.defaultdict(collections.deque)
for row in sorted(task["transactions"], key=lambda row: row["at"]):
    at, seen = datetime.datetime.fromisoformat(row["at"]), recent[row["card"]]
    seen.append(at)
    while at - seen[0] > window:
        seen.popleft()
    if len(seen) > task["most"]:
        signals[row["id"]] = {"weight": 0.6, "why": f"{len(seen)} payments in {task['minutes']} minutes"}
print(json.dumps({"signals": signals}))
