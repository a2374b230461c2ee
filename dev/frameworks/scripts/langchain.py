import json
import os

from langchain_openai import ChatOpenAI

model = ChatOpenAI(model=os.environ["AI_MODEL"])
for question in ("question one", "question two"):
    print(json.dumps(model.invoke(question).content))
