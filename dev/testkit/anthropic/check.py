"""The official Anthropic SDK for Python, unmodified, against a Kapelle server."""

import os
import sys
import time

import anthropic
from anthropic import Anthropic

client = Anthropic()
HELLO = {"model": "fast", "max_tokens": 100, "messages": [{"role": "user", "content": "say hello"}]}
WEATHER = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def says(text, **more):
    return {**HELLO, "messages": [{"role": "user", "content": text}], **more}


def test_sync():
    answer = client.messages.create(**HELLO, system="Be brief.", stop_sequences=["END"])
    assert answer.content[0].text == "hello there" and answer.stop_reason == "end_turn", answer
    assert answer.usage.output_tokens == 3 and answer.usage.input_tokens == 9, answer
    assert answer._request_id.startswith("req_"), answer._request_id


def test_token_as_bearer():
    bearer = Anthropic(api_key=None, auth_token=os.environ["ANTHROPIC_API_KEY"])
    assert bearer.messages.create(**HELLO).content[0].text == "hello there"


def test_stream():
    with client.messages.stream(**HELLO) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == "hello there" == answer.content[0].text, text
    assert answer.usage.output_tokens == 3 and answer.stop_reason == "end_turn", answer
    kinds = [event.type for event in client.messages.create(**HELLO, stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds


def test_pictures():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}]
    assert client.messages.create(**says(content)).content[0].text == "hello there"


def test_tools():
    question = says("call the tool", tools=[WEATHER], tool_choice={"type": "any"})
    for stream in (False, True):
        if stream:
            with client.messages.stream(**question) as events:
                answer = events.get_final_message()
        else:
            answer = client.messages.create(**question)
        call = answer.content[-1]
        assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Oslo"}), answer
        assert answer.stop_reason == "tool_use", answer
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "cold"}
    turns = [
        {"role": "user", "content": "what is the weather?"},
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(**{**HELLO, "messages": turns}, tools=[WEATHER])
    assert answer.content[0].text == "hello there", answer


def test_count():
    count = client.messages.count_tokens(model="fast", messages=HELLO["messages"])
    assert 0 < count.input_tokens < 50, count


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def test_errors():
    error = refused(anthropic.BadRequestError, lambda: client.messages.create(**says("go wrong")))
    assert error.status_code == 400 and error.body["error"]["message"] == "no", error
    error = refused(anthropic.NotFoundError, lambda: client.messages.create(**{**HELLO, "model": "nobody/x"}))
    assert error.body["error"]["type"] == "not_found_error", error.body
    assert error.request_id == error.body["request_id"], error.body
    error = refused(anthropic.BadRequestError, lambda: client.messages.create(**HELLO, tool_choice={"type": "maybe"}))
    assert "tool_choice" in error.body["error"]["message"], error.body
    stranger = Anthropic(api_key="sk-kapelle-wrong", auth_token=None)
    error = refused(anthropic.AuthenticationError, lambda: stranger.messages.create(**HELLO))
    assert error.body["error"]["type"] == "authentication_error", error.body


def test_cut():
    def read():
        with client.messages.stream(**says("be cut")) as stream:
            stream.get_final_message()

    refused(anthropic.APIStatusError, read)


def test_cancel():
    with client.messages.stream(**says("be slow")) as stream:
        next(iter(stream))


for name, test in list(globals().items()):
    if name.startswith("test_"):
        began = time.monotonic()
        test()
        print(f"anthropic {anthropic.__version__} (Python): {name} ok in {time.monotonic() - began:.2f} s")
sys.exit(0)
