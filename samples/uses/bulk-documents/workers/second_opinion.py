# ---
# description: Tells the category of a text by counting the words of each category
# mode: task
# input: { type: object, required: [text], properties: { text: { type: string, minLength: 1 } } }
# output: { type: object, required: [category, found], properties: { category: { type: string }, found: { type: array, items: { type: string } } } }
# ---
"""The second opinion has to come from another method: two equal readers make equal mistakes."""
import json
import re
import sys

WORDS = {
    "finance": "invoice payment paid bank account total fee grant pays budget tax",
    "technology": "software server database network code update backup version installer logs",
    "health": "patient hospital doctor medicine treated pain examination insurance knee ward",
    "legal": "court contract lawyer law judgment appeal landlord tenant valid clause",
    "education": "university course teachers students schools lessons library examination books",
}

text = json.load(sys.stdin)["text"]
words = re.findall(r"[a-z]+", text.lower())
found = {category: [word for word in words if word in known.split()] for category, known in WORDS.items()}
best = max(found, key=lambda category: len(found[category]))
category = best if found[best] else "general"
print(json.dumps({"category": category, "found": sorted(set(found[best]))}))
