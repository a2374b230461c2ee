# ---
# description: Puts routed tickets on a board, most urgent first, with the mood by channel
# mode: task
# input: { type: object, required: [tickets, desk], properties: { tickets: { type: array }, desk: { type: array } } }
# ---
import json
import sys

task = json.load(sys.stdin)
rows, moods, failed = [], {}, []
for ticket, done in zip(task["tickets"], task["desk"]):
    if "error" in done:
        failed.append({"id": ticket["id"], "why": done["error"]["message"]})
        continue
    route, mood = done["route"], done["mood"]
    rows.append({"id": ticket["id"], "team": route["team"], "priority": route["priority"],
                 "why": ", ".join(route["reasons"]), "escalate": route["escalate"]})
    moods.setdefault(ticket["channel"], []).append(mood["score"])
rows.sort(key=lambda row: -row["priority"])
escalated = [{key: row[key] for key in ("id", "team", "priority", "why")} for row in rows if row["escalate"]]
teams = {}
for row in rows:
    teams.setdefault(row["team"], []).append(row["id"])
mood = {channel: round(sum(scores) / len(scores), 2) for channel, scores in sorted(moods.items())}
print(json.dumps({"escalated": escalated, "teams": teams, "mood": mood, "failed": failed}))
