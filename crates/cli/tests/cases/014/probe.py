#!/usr/bin/env python3
# ---
# mode: task
# ---
# Opens the paths in its input, as the owner of the folder may want to.
import json
import os
import sys

task = json.load(sys.stdin)
found = {}
for path in task["paths"]:
    found[path] = os.listdir(path) if os.path.isdir(path) else open(path).read()
print(json.dumps(found))
