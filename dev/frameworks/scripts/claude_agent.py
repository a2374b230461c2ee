import asyncio
import json
import os

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query


async def main() -> None:
    options = ClaudeAgentOptions(model=os.environ["AI_MODEL"], allowed_tools=[], max_turns=1)
    for question in ("question one", "question two"):
        async for message in query(prompt=question, options=options):
            if isinstance(message, ResultMessage):
                if message.is_error:
                    raise SystemExit(message.result)
                print(json.dumps(message.result))


asyncio.run(main())
