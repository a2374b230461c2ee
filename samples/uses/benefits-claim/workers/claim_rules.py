# ---
# description: Checks a claim against the rules of the scheme, and says what evidence is missing and what is payable
# mode: task
# input:
#   type: object
#   required: [claim, evidence]
#   properties:
#     claim: { type: object, required: [id, kinds, incident, received] }
#     evidence: { type: array, items: { type: object, required: [kind, text] } }
# ---
"""Plain rules in plain code: a model reads the letters, but it does not decide who is paid."""
import datetime
import json
import sys

NEEDS = {"care_allowance": ["certificate"], "walking_aid": ["certificate", "receipt"]}
WEEKLY = 310
"""Care allowance a week, in kroner."""
DAYS = 180
"""A claim is late when it is received more than this many days after the incident."""
BY_HAND = 5_000
"""Kroner from which a person decides."""

task = json.load(sys.stdin)
claim, evidence = task["claim"], task["evidence"]
known = sorted(set(NEEDS).intersection(claim["kinds"]))
unknown = sorted(set(claim["kinds"]) - set(NEEDS))
if unknown:
    message = f"claim.kinds: there is no benefit {', '.join(unknown)}; choose from {', '.join(sorted(NEEDS))}"
    print(json.dumps({"error": {"category": "invalid_input", "message": message}}))
    sys.exit(1)

found = {part["kind"] for part in evidence if part["text"].strip()}
missing = sorted({need for kind in known for need in NEEDS[kind]} - found)
payable = {}
for kind in known:
    if set(NEEDS[kind]) <= found:
        payable[kind] = WEEKLY * claim.get("weeks_of_care", 0) if kind == "care_allowance" else claim["amounts"][kind]
day = datetime.date.fromisoformat
late = (day(claim["received"]) - day(claim["incident"])).days > DAYS
total = sum(payable.values())
decision = "refuse" if late else "ask" if missing else "person" if total >= BY_HAND else "pay"
print(json.dumps({"decision": decision, "payable": payable, "total": total, "missing": missing, "late": late}))
