# ---
# description: Routes a ticket to a team and gives it a priority, with the reasons
# mode: task
# input:
#   type: object
#   required: [ticket, sentiment, score]
#   properties:
#     ticket: { type: object, required: [id, channel, text, contract] }
#     sentiment: { enum: [positive, neutral, negative] }
#     score: { type: number, minimum: -1, maximum: 1 }
# output:
#   type: object
#   required: [team, priority, reasons, escalate]
#   properties: { team: { type: string }, priority: { type: integer }, reasons: { type: array }, escalate: { type: boolean } }
# ---
import json
import re
import sys

TEAMS = [  # the first that matches gets the ticket
    ("security", r"\b(data|patients?|leak|password list|phishing|breach)\b.*\b(seen|outside|stolen|public|leak)|\b(seen|stolen|leaked)\b.*\bdata\b"),
    ("sales", r"\b(licen[cs]es?|offer|quote|upgrade)\b"),
    ("billing", r"\b(invoice|payment|refund|bill)\b"),
    ("access", r"\b(password|log ?in|locked)\b"),
    ("technical", r"\b(print|error|fail|broken|slow|does not work|till)\w*"),
]
CONTRACT = {"gold": 25, "silver": 10, "none": 0}
CHANNEL = {"phone": 10, "chat": 5, "mail": 0}
ESCALATE = 80
"""Priority from which the head of the team is told."""

task = json.load(sys.stdin)
ticket, text = task["ticket"], task["ticket"]["text"].lower()
team = next((team for team, pattern in TEAMS if re.search(pattern, text, re.DOTALL)), "first line")
reasons = [(30, "base")]
reasons.append((CONTRACT.get(ticket["contract"], 0), f"contract {ticket['contract']}"))
reasons.append((CHANNEL.get(ticket["channel"], 0), f"came by {ticket['channel']}"))
if team == "security":
    reasons.append((40, "data of people may be in the open"))
if task["sentiment"] == "negative":
    reasons.append((round(-20 * task["score"]), "the customer is unhappy"))
if re.search(r"\bcancel\b", text):
    reasons.append((15, "may cancel"))
if re.search(r"\bthird\b|\bagain\b|nobody called", text):
    reasons.append((10, "not the first time"))
priority = min(sum(points for points, _ in reasons), 100)
told = [f"{points:+d} {why}" for points, why in reasons if points]
print(json.dumps({"team": team, "priority": priority, "reasons": told, "escalate": priority >= ESCALATE}))
