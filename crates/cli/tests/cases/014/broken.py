#!/usr/bin/env python3
# ---
# mode: task
# tenants: all
# interpreter: /no/such/place/python3
# ---
print("{}")
