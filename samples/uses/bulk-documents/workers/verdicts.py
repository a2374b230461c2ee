# ---
# description: Sorts the reviews of documents into agreed, decided, for a person, and failed
# mode: task
# input: { type: object, required: [documents, reviews], properties: { documents: { type: array }, reviews: { type: array } } }
# ---
import json
import sys

task = json.load(sys.stdin)
sorted_out = {"agreed": [], "decided": [], "person": [], "failed": []}
for document, review in zip(task["documents"], task["reviews"]):
    if "error" in review:
        sorted_out["failed"].append({"name": document["name"], "why": review["error"]["message"]})
        continue
    first, second = review["first"]["category"], review["second"]["category"]
    if first == second:
        sorted_out["agreed"].append({"name": document["name"], "category": first})
    elif review.get("arbiter"):
        choice, why = review["arbiter"]["choice"], review["arbiter"]["why"]
        sorted_out["decided"].append({"name": document["name"], "category": choice, "why": why})
    else:
        sorted_out["person"].append({"name": document["name"], "first": first, "second": second})
print(json.dumps(sorted_out))
