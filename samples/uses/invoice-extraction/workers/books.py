# ---
# description: Checks that the sums of an invoice agree, and names what is missing
# mode: task
# input: { type: object, required: [invoice], properties: { invoice: { type: object } } }
# ---
"""The reader may be wrong, so everything that can be checked is: a wrong invoice is never booked by itself."""
import decimal
import json
import sys

invoice = json.load(sys.stdin, parse_float=decimal.Decimal)["invoice"]
faults = [f"{field} is missing" for field in ("supplier", "number", "date", "total") if invoice.get(field) is None]


def differ(what, left, right):
    if left is not None and right is not None and abs(left - right) > decimal.Decimal("0.01"):
        faults.append(f"{what}: {left} and {right} differ")


for number, line in enumerate(invoice["lines"], 1):
    if line["quantity"] is not None and line["price"] is not None:
        differ(f"line {number}", line["quantity"] * line["price"], line["amount"])
amounts = [line["amount"] for line in invoice["lines"] if line["amount"] is not None]
if amounts:
    differ("sum of the lines and net", sum(amounts), invoice.get("net"))
if invoice.get("net") is not None and invoice.get("vat") is not None:
    differ("net with VAT and total", invoice["net"] + invoice["vat"], invoice.get("total"))
print(json.dumps({"book": not faults, "faults": faults}))
