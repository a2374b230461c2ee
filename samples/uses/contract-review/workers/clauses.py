# ---
# description: Splits a contract into clauses and finds what the house does not accept, by its own rules
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string, minLength: 1 } } }
# ---
import json
import re
import sys

RULES = [  # pattern, severity, what the house wants instead
    (r"raise the fee at any time|without notice", "high", "changes of the fee with 90 days of notice and a right to end the contract"),
    (r"renews itself .* unless notice .* twelve\s+months", "medium", "renewal for one year, notice of three months"),
    (r"limited to .* also for gross negligence", "high", "no limit for intent and gross negligence"),
    (r"indemnifies .* against all claims", "high", "indemnity only for what the indemnifying party caused"),
    (r"pass data .* to its partners", "high", "data only to processors that the customer has agreed to"),
]
WANTED = {"confidentiality": r"confidential", "force majeure": r"force majeure|beyond .* control", "termination for breach": r"breach"}

text = json.load(sys.stdin)["text"]
parts = re.split(r"^(\d+)\.\s+(.+)$", text, flags=re.MULTILINE)[1:]
clauses = [{"number": int(number), "title": title.strip(), "text": " ".join(body.split())}
           for number, title, body in zip(parts[::3], parts[1::3], parts[2::3])]
findings = [{"clause": clause["number"], "title": clause["title"], "severity": severity, "wanted": wanted}
            for clause in clauses for pattern, severity, wanted in RULES if re.search(pattern, clause["text"], re.IGNORECASE)]
missing = [name for name, pattern in WANTED.items() if not re.search(pattern, text, re.IGNORECASE)]
high = sum(finding["severity"] == "high" for finding in findings)
print(json.dumps({"clauses": clauses, "findings": findings, "missing": missing, "high": high}))
