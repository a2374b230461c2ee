# ---
# description: Reads the figures of a day from a table, and finds the hours that stand out
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string, minLength: 1 }, target: { type: number, default: 5 } } }
# ---
import csv
import io
import json
import statistics
import sys

task = json.load(sys.stdin)
try:
    rows = [{"hour": row["hour"], "orders": int(row["orders"]), "failed": int(row["failed"]),
             "minutes": float(row["minutes_to_answer"])} for row in csv.DictReader(io.StringIO(task["text"]))]
    if not rows:
        raise ValueError("there is no row")
except (KeyError, TypeError, ValueError) as error:
    message = f"the table cannot be read: {error}; the columns are hour, orders, failed, minutes_to_answer"
    print(json.dumps({"error": {"category": "invalid_input", "message": message}}))
    sys.exit(1)
usual = statistics.median(row["minutes"] for row in rows)
slow = [row for row in rows if row["minutes"] > max(task["target"], 2 * usual)]
orders, failed = sum(row["orders"] for row in rows), sum(row["failed"] for row in rows)
print(json.dumps({
    "orders": orders, "failed": failed, "failed_percent": round(100 * failed / orders, 1) if orders else 0,
    "median_minutes": usual, "slow_hours": [row["hour"] for row in slow],
    "lines": f"{orders} orders came in, of which {failed} failed. The usual time to answer was {usual:g} minutes."
             + (f" It was far longer at {' and '.join(row['hour'] for row in slow)} o'clock." if slow else ""),
}))
