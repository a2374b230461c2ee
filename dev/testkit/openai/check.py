"""The official OpenAI SDK for Python, unmodified, against a Kapelle server."""

import json
import sys
import time

import openai
from openai import OpenAI
from pydantic import BaseModel

client = OpenAI()
MESSAGES = [{"role": "user", "content": "say hello"}]


def says(text):
    return [{"role": "user", "content": text}]


def test_sync():
    answer = client.chat.completions.create(model="fast", messages=MESSAGES)
    assert answer.choices[0].message.content == "hello there", answer
    assert answer.usage.completion_tokens == 3, answer


def test_models():
    assert "fast" in [model.id for model in client.models.list()]


def test_stream():
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="fast", messages=MESSAGES, stream=True, stream_options=options)
    text, usage = "", None
    for chunk in stream:
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        usage = chunk.usage or usage
    assert text == "hello there", text
    assert usage.completion_tokens == 3, usage


def test_responses():
    answer = client.responses.create(model="fast", input="say hello")
    assert answer.output_text == "hello there", answer
    text = ""
    for event in client.responses.create(model="fast", input="say hello", stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == "hello there", text


def test_tools():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="fast", messages=says("call the tool"), tools=tools, stream=stream
        )
        if stream:
            calls = [c for chunk in answer if chunk.choices for c in chunk.choices[0].delta.tool_calls or []]
            arguments = "".join(call.function.arguments or "" for call in calls)
        else:
            arguments = answer.choices[0].message.tool_calls[0].function.arguments
        assert json.loads(arguments) == {"city": "Oslo"}, arguments


class Person(BaseModel):
    name: str
    age: int


def test_structured():
    answer = client.chat.completions.parse(model="fast", messages=says("as a person"), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36), answer


def test_embeddings():
    answer = client.embeddings.create(model="embed", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0, answer


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def test_errors():
    error = refused(openai.BadRequestError, lambda: client.chat.completions.create(model="fast", messages=says("go wrong")))
    assert error.status_code == 400, error
    error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="nobody/x", messages=MESSAGES))
    assert error.code == "model_not_found", error
    stranger = OpenAI(api_key="sk-kapelle-wrong")
    error = refused(openai.AuthenticationError, lambda: stranger.chat.completions.create(model="fast", messages=MESSAGES))
    assert error.status_code == 401, error


def test_cancel():
    stream = client.chat.completions.create(model="fast", messages=says("be slow"), stream=True)
    next(iter(stream))
    stream.close()


for name, test in list(globals().items()):
    if name.startswith("test_"):
        began = time.monotonic()
        test()
        print(f"openai {openai.__version__} (Python): {name} ok in {time.monotonic() - began:.2f} s")
sys.exit(0)
