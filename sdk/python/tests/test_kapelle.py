"""What needs no server. The rest is in ../../conformance."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import sys
import tempfile
import threading
import types
import unittest
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import kapelle
from kapelle import (
    AsyncClient,
    AsyncContext,
    Client,
    Context,
    Host,
    NewTask,
    NoGateway,
    NoToken,
    SubmitOptions,
    TaskError,
    Unreachable,
)
from kapelle._failure import failure
from kapelle._http import ConnectError, Response, TransportError
from kapelle._place import Place, find
from kapelle._report import invalid, succeed
from kapelle._serving import pause
from kapelle._sse import Parser
from kapelle._stream import RunStream
from kapelle._threads import Threads
from kapelle._wire import Again, Call, refused
from kapelle.context import Attempt


def attempt(**more: Any) -> Attempt:
    raw = {"id": "task_1", "attempt": 1, "lease_token": "1.1.0", "timeout_ms": 1000, "last_attempt": False}
    return Attempt({**raw, "worker": "w", "input": None, **more}, Place("http://127.0.0.1:7863", "t", True))


def elsewhere(module: str, name: str) -> Exception:
    """An exception of a package that is not installed."""
    error: Exception = type(name, (Exception,), {"__module__": module})("x")
    return error


def void(_: object) -> None:
    """Drops a value."""


class BothFacesAreTheSame(unittest.TestCase):
    def test_every_method_of_the_one_is_in_the_other(self) -> None:
        pairs = [(Client, AsyncClient)]
        with Client("http://127.0.0.1:1", "t") as one:
            other = AsyncClient("http://127.0.0.1:1", "t")
            for noun in ("tasks", "runs", "approvals", "workers", "queues", "schedules", "dead", "files"):
                pairs.append((type(getattr(one, noun)), type(getattr(other, noun))))
        for sync, awaited in pairs:
            names = {name for name in dir(sync) if not name.startswith("_")}
            self.assertEqual(names, {name for name in dir(awaited) if not name.startswith("_")})
            for name in names:
                first, second = getattr(sync, name), getattr(awaited, name)
                if callable(first):
                    self.assertEqual(inspect.signature(first).parameters, inspect.signature(second).parameters, name)
                    self.assertEqual(first.__doc__, second.__doc__, name)


class Options(unittest.TestCase):
    def test_the_options_of_a_submit_are_the_fields_of_a_task(self) -> None:
        fields = {field.name: field.type for field in dataclasses.fields(NewTask)}
        del fields["worker"], fields["input"]
        self.assertEqual(fields, {name: kind.__forward_arg__ for name, kind in SubmitOptions.__annotations__.items()})

    def test_an_unknown_option_is_refused_with_the_right_name(self) -> None:
        options: Any = {"max_retries": 3}
        with Client("http://127.0.0.1:1", "t") as client:
            for call in (client.tasks.submit, client.run):
                with self.assertRaisesRegex(TypeError, "max_retries: unknown option of .*; use `retry="):
                    call("w", **options)


class Package(unittest.TestCase):
    def test_the_version_is_the_same_everywhere(self) -> None:
        project = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
        self.assertIn(f'\nversion = "{kapelle.__version__}"\n', project)


class Waiting(unittest.TestCase):
    def test_a_server_that_does_not_wait_is_not_asked_all_the_time(self) -> None:
        asked = []

        def request(method: str, target: str, *rest: Any) -> Response:
            asked.append(target.partition("wait_ms=")[2])
            return Response(200, {}, b'{"id":"task_1","state":"running"}')

        with Client("http://127.0.0.1:1", "t") as client, mock.patch.object(client._asker.http, "request", request):
            with self.assertRaises(kapelle.WaitTimeout):
                client.tasks.wait("task_1", timeout=0.5)
        self.assertLessEqual(len(asked), 4)
        self.assertEqual(asked[0], "500")


class Streams(unittest.TestCase):
    def test_events_come_whole_however_the_bytes_are_cut(self) -> None:
        data = '{"text":"a\u2028b\x85 \u00e9"}'
        stream = f": alive\n\nid: 0\nevent: started\ndata: {data}\n\nid: 1\r\ndata: x\r\ndata: y\r\n\r\n".encode()
        for size in range(1, len(stream)):
            parser = Parser()
            frames = [f for at in range(0, len(stream), size) for f in parser.feed(stream[at : at + size])]
            self.assertEqual(
                [(f.id, f.kind, f.data) for f in frames], [("0", "started", data), ("1", "message", "x\ny")]
            )

    def test_what_came_already_is_left_out_and_a_gap_is_an_error(self) -> None:
        place = RunStream(after=4)
        self.assertEqual(place.headers(), {"last-event-id": "4"})
        frame = Parser().feed(b"id: 5\nevent: e\ndata: {}\n\n")[0]
        first = place.take(frame)
        assert first
        self.assertEqual(first.seq, 5)
        self.assertIsNone(place.take(frame))
        with self.assertRaises(Unreachable):
            place.take(Parser().feed(b"id: 7\nevent: e\ndata: {}\n\n")[0])


class TryingAgain(unittest.TestCase):
    def setUp(self) -> None:
        self.now = 0.0

    def again(self, seconds: float = 5.0) -> Again:
        return Again(seconds, lambda: self.now)

    def test_what_was_not_sent_is_sent_again_within_the_time(self) -> None:
        again, call = self.again(), Call("POST", "/x", dict)
        self.assertIsNotNone(again.after(call, ConnectError("no")))
        self.now = 5.0
        self.assertIsNone(again.after(call, ConnectError("no")))
        self.assertIsNone(self.again(0.0).after(call, ConnectError("no")))

    def test_what_may_have_been_done_is_sent_again_only_when_that_does_no_harm(self) -> None:
        cut = TransportError("cut")
        self.assertIsNone(self.again().after(Call("POST", "/x", dict), cut))
        self.assertIsNotNone(self.again().after(Call("POST", "/x", dict, key="k"), cut))
        self.assertIsNotNone(self.again().after(Call("GET", "/x", dict), cut))

    def test_a_server_that_is_away_for_days_is_asked_again_every_two_seconds(self) -> None:
        self.assertEqual([pause(1), pause(100_000)], [0.2, 2.0])

    def test_the_server_says_how_long_to_wait(self) -> None:
        call: Call[Any] = Call("POST", "/x", dict)
        self.assertEqual(self.again().after(call, kapelle.Unavailable(503, "unavailable", "stopping", "", 2.0)), 2.0)
        self.assertIsNone(self.again().after(call, kapelle.TooMany(429, "too_many", "wait", "", 60.0)))
        self.assertIsNone(self.again().after(call, kapelle.Problem(500, "internal", "broken")))


class Places(unittest.TestCase):
    def test_the_token_of_the_folder_goes_to_this_machine_alone(self) -> None:
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {}, clear=True):
            data = Path(folder) / ".kapelle"
            data.mkdir()
            (data / "token").write_text("kap_1\n")
            (data / "address").write_text("http://127.0.0.1:4711\n42\n")
            inner = Path(folder) / "a" / "b"
            inner.mkdir(parents=True)
            before = Path.cwd()
            os.chdir(inner)
            try:
                self.assertEqual((find(None, None).url, find(None, None).token), ("http://127.0.0.1:4711", "kap_1"))
                with self.assertRaisesRegex(NoToken, "KAPELLE_TOKEN"):
                    find("http://example.org:7863", None)
                self.assertNotIn("kap_1", repr(find(None, None)))
            finally:
                os.chdir(before)

    def test_addresses_that_are_none_are_refused(self) -> None:
        for url in ("localhost:7863", "ftp://x", "http://", "http://h?x=1", "http://user@h"):
            with self.assertRaisesRegex(ValueError, "url: "):
                find(url, "t")
        with self.assertRaisesRegex(ValueError, "token: "):
            find("http://h", "two\nlines")

    def test_another_server_is_recognised(self) -> None:
        response = Response(404, {"content-type": "text/html"}, b"<p>")
        self.assertIn("does not look like a Kapelle server", str(refused("http://h", response)))


class Functions(unittest.TestCase):
    def test_a_function_must_take_two_arguments_and_a_name_is_taken_once(self) -> None:
        host = Host("http://127.0.0.1:1", "t")
        with self.assertRaisesRegex(TypeError, r"\(ctx, input\)"):
            host.worker("w")(lambda input: input)
        host.worker("w")(lambda ctx, input: input)
        with self.assertRaisesRegex(ValueError, "twice"):
            host.worker("w")(lambda ctx, input: input)
        with self.assertRaisesRegex(ValueError, "serves no worker"):
            asyncio.run(Host("http://127.0.0.1:1", "t").serve())

    def test_exceptions_have_their_categories(self) -> None:
        class RateLimitError(Exception):
            status_code = 429
            response = types.SimpleNamespace(headers={"retry-after": "7"})

        class BudgetError(Exception):
            status_code = 402
            code = "budget"

        known = [
            (TaskError("x", category="budget"), "budget"),
            (TimeoutError(), "timeout"),
            (Unreachable("x"), "unavailable"),
            (elsewhere("httpx", "TransportError"), "unavailable"),
            (elsewhere("httpx", "TimeoutException"), "timeout"),
            (elsewhere("requests.exceptions", "ConnectionError"), "unavailable"),
            (ConnectionResetError(), "unavailable"),
            (RateLimitError(), "rate_limited"),
            (BudgetError(), "budget"),
            (NoGateway("x"), "model_required"),
            (KeyError("k"), "internal"),
        ]
        for error, category in known:
            self.assertEqual(failure(error).category, category)
        self.assertEqual(failure(RateLimitError()).retry_after, 7.0)
        self.assertEqual(failure(KeyError("k")).message, "KeyError: 'k'")
        with self.assertRaisesRegex(ValueError, "no `funny`"):
            TaskError("x", category="funny")

    def test_answers_that_cannot_be_sent_are_failures(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        for answer in ({1, 2}, float("inf"), "\ud800", endless, object()):
            self.assertEqual(succeed(attempt(), answer).outcome, "fail", repr(answer)[:50])
        self.assertIn(b"?", invalid(attempt(), "\ud800").body)

    def test_a_sleep_ends_when_the_attempt_is_not_wanted_any_more(self) -> None:
        one = attempt()
        ctx = Context(one)
        threading.Timer(0.05, one.stop, ["not wanted"]).start()
        with self.assertRaises(kapelle.Cancelled):
            ctx.sleep(30)
        self.assertEqual((ctx.cancelled, ctx.cancel_reason), (True, "not wanted"))
        with self.assertRaises(ValueError):
            ctx.progress(1.5)

    def test_threads_are_used_again_and_end_with_the_host(self) -> None:
        threads = Threads()
        names: list[str] = []
        seen: set[int] = set()
        for number in range(5):
            over = threading.Event()

            def work() -> None:
                names.append(threading.current_thread().name)
                seen.add(threading.get_ident())

            threads.run(f"task_{number}", work, over.set)
            self.assertTrue(over.wait(5))
        self.assertEqual((names, len(seen)), ([f"task_{number}" for number in range(5)], 1))
        both = threading.Barrier(2)
        for _ in range(2):
            threads.run("task_9", lambda: void(both.wait(5)), lambda: None)
        threads.close()
        for thread in threading.enumerate():
            if thread.name in ("task_4", "task_9"):
                thread.join(5)
                self.assertFalse(thread.is_alive())

    def test_a_deadline_knows_its_time_zone(self) -> None:
        with self.assertRaisesRegex(ValueError, "time zone"):
            NewTask("w", deadline=datetime(2026, 1, 1)).wire()


class Gateway(unittest.TestCase):
    def test_without_a_gateway_or_the_package_the_error_says_so(self) -> None:
        with self.assertRaisesRegex(NoGateway, "offers no model gateway"):
            Context(attempt()).llm
        with mock.patch.dict(sys.modules, {"openai": None}), self.assertRaisesRegex(NoGateway, r"kapelle\[openai\]"):
            Context(attempt(gateway_url="/v1", gateway_token="t")).llm

    def test_the_client_goes_through_the_gateway_with_the_token_of_the_attempt(self) -> None:
        module = types.ModuleType("openai")
        setattr(module, "OpenAI", lambda **given: ("sync", given))
        setattr(module, "AsyncOpenAI", lambda **given: ("async", given))
        one = attempt(gateway_url="/v1", gateway_token="kt_1")
        expected = {"base_url": "http://127.0.0.1:7863/v1", "api_key": "kt_1", "max_retries": 0}
        with mock.patch.dict(sys.modules, {"openai": module}):
            self.assertEqual(Context(one).llm, ("sync", expected))
            self.assertEqual(AsyncContext(one).llm, ("async", expected))


if __name__ == "__main__":
    unittest.main()
