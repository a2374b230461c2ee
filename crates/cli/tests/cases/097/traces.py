# ---
# mode: task
# ---
import os; print(os.environ.get("OPENAI_AGENTS_DISABLE_TRACING", "\"none\""))
