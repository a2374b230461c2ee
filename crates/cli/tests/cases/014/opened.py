#!/usr/bin/env python3
# ---
# mode: task
# tenants: [2]
# ---
# The same, opened to tenant 2.
import json
import os
import sys

task = json.load(sys.stdin)
found = {}
for path in task["paths"]:
    found[path] = os.listdir(path) if os.path.isdir(path) else open(path).read()
print(json.dumps(found))
