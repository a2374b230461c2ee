# ---
# description: Looks for the evidence of each control in a document, sentence by sentence
# mode: task
# input:
#   type: object
#   required: [text, controls]
#   properties:
#     text: { type: string, minLength: 1 }
#     controls: { type: array, minItems: 1, items: { type: object, required: [id, text] } }
# ---
import json
import re
import sys

task = json.load(sys.stdin)
paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", task["text"]) if part.strip()]
met, gaps = [], []
for control in task["controls"]:
    def fits(paragraph):
        low = paragraph.lower()
        return all(word in low for word in control.get("all", [])) and (
            "any" not in control or any(word in low for word in control["any"]))
    evidence = next((paragraph for paragraph in paragraphs if fits(paragraph)), None)
    row = {"id": control["id"], "control": control["text"]}
    (met.append({**row, "evidence": evidence}) if evidence else gaps.append(row))
print(json.dumps({"met": met, "gaps": gaps, "score": round(len(met) / len(task["controls"]), 2)}))
