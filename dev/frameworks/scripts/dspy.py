import json
import os

import dspy

# Its cache on disk would answer the repeated question before the gateway is asked.
dspy.configure(lm=dspy.LM("openai/" + os.environ["AI_MODEL"], cache=False, num_retries=0))
answers = dspy.Predict("question -> answer")
for question in ("question one", "question two"):
    print(json.dumps(answers(question=question).answer))
