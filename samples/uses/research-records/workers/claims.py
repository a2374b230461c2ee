# ---
# description: Picks the sentences of records that answer a question, each with its source and its figures
# mode: task
# input:
#   type: object
#   required: [records, question]
#   properties:
#     records: { type: array, minItems: 1, items: { type: object, required: [id, text] } }
#     question: { type: string, minLength: 3 }
# ---
"""Sentences are ranked by shared words weighed by rarity (Sparck Jones 1972). Every claim keeps its source."""
import json
import math
import re
import sys

task = json.load(sys.stdin)
sentences = [(record["id"], sentence) for record in task["records"]
             for sentence in re.split(r"(?<=[.!?])\s+", record["text"].strip()) if sentence]


def stems(text):
    return {re.sub(r"(ings?|es|ed|e|s)$", "", word) for word in re.findall(r"[a-z]{3,}", text.lower())}


texts = [stems(sentence) for _, sentence in sentences]
weight = {word: math.log(len(texts) / sum(word in text for text in texts)) for text in texts for word in text}
asked = stems(task["question"])
claims = []
for (source, sentence), words in zip(sentences, texts):
    score = sum(weight.get(word, 0) for word in asked & words)
    figures = [int(found) for found in re.findall(r"(\d+) percent", sentence)]
    if score > 0 and figures:
        claims.append({"claim": sentence, "source": source, "figures": figures, "score": round(score, 2)})
claims.sort(key=lambda claim: -claim["score"])
figures = [figure for claim in claims for figure in claim["figures"]]
spread = {"least": min(figures), "most": max(figures)} if figures else None
print(json.dumps({"claims": claims, "spread": spread, "sources": sorted({claim["source"] for claim in claims})}))
