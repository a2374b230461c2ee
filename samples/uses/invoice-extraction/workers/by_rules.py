# ---
# description: Reads an invoice by patterns, for when there is no model
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string, minLength: 1 } } }
# ---
"""Patterns read the layouts they know. What they cannot read is null, never guessed."""
import json
import re
import sys

NUMBER = r"-?\d{1,3}(?:,\d{3})*\.\d\d"
LINE = re.compile(rf"^(.+?)\s+(\d+(?:\.\d+)?)\s+({NUMBER})\s+({NUMBER})$", re.MULTILINE)

text = json.load(sys.stdin)["text"]


def value(said):
    return None if said is None else float(said.replace(",", ""))


def after(pattern):
    found = re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
    return found and found.group(1).strip()


first = next((line.strip() for line in text.splitlines() if line.strip()), None)
supplier = after(r"^supplier:\s*(.+)$") or (first if first and first.isupper() else None)
lines = [
    {"description": " ".join(what.split()), "quantity": value(count), "price": value(price), "amount": value(amount)}
    for what, count, price, amount in LINE.findall(text)
    if not re.match(r"(net|vat|total)\b", what, re.IGNORECASE)
]
print(json.dumps({
    "supplier": supplier and supplier.title(),
    "number": after(r"\binvoice\s+([A-Z0-9-]*\d[A-Z0-9-]*)"),
    "date": after(r"\bdate:\s*(\d{4}-\d\d-\d\d)"),
    "due": after(r"\bdue:\s*(\d{4}-\d\d-\d\d)"),
    "currency": after(r"^total\s+([A-Z]{3})\b"),
    "lines": lines,
    "net": value(after(rf"^net\s+({NUMBER})\s*$")),
    "vat": value(after(rf"^vat\b.*?({NUMBER})\s*$")),
    "total": value(after(rf"^total\b.*?({NUMBER})\s*$")),
}))
