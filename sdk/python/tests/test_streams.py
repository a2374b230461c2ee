"""Streams of tasks and of results, against a server that does what each test wants of it."""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import socket
import threading
import time
import unittest
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kapelle._lines
from kapelle import AsyncClient, AsyncContext, Client, Context, Host, NotFound, WaitTimeout

Line = dict[str, Any]


class Fake(ThreadingHTTPServer):
    """A server with streams. `tasks` of its queue are pushed; what hosts report is kept."""

    daemon_threads = True

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: set[str] = set()
        self.tasks: queue.Queue[Line | None] = queue.Queue()
        """What the streams of hosts say next; None cuts the stream."""
        self.results: queue.Queue[Line | None] = queue.Queue()
        self.asked: list[tuple[str, Any]] = []
        self.streams = 0
        self.both = False
        """Whether there are streams that go both ways."""
        self.opens: Callable[[str], int] = lambda path: 200
        """The status of an opened stream."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that is gone is part of the tests."""

    def end(self) -> None:
        self.tasks.put(None)
        self.results.put(None)
        self.shutdown()
        self.server_close()

    def of(self, part: str) -> list[Any]:
        """Returns the bodies of requests to paths that contain a part."""
        with self.lock:
            return [body for path, body in self.asked if part in path]

    def push(self, *ids: str) -> None:
        """Pushes tasks of the worker `echo`."""
        self.tasks.put({"tasks": [claimed(id) for id in ids]})


def claimed(id: str) -> Line:
    lease = {"lease_token": f"lease-{id}", "lease_ttl_ms": 15_000, "timeout_ms": 60_000, "last_attempt": False}
    return {"id": id, "attempt": 1, "worker": "echo", "input": id, **lease}


def ended(id: str) -> Line:
    return {"task": {"id": id, "state": "succeeded", "attempt": 1, "output": id}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def log_message(self, *_: Any) -> None:
        pass

    def do_DELETE(self) -> None:
        self.say(200, {})

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, None))
        id = self.path.rpartition("/")[2].partition("?")[0]
        if id.startswith("gone"):
            self.say(404, {"code": "not_found", "detail": f"there is no {id}"})
        else:
            self.say(200, ended(id)["task"])

    def do_POST(self) -> None:
        if self.path.endswith("/duplex"):
            self.duplex()
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked.append((self.path, body))
        if path == "/api/v1/hosts":
            id = f"host_{len(self.server.known)}"
            self.server.known.add(id)
            self.say(201, {"id": id, "lease_ttl_ms": 15_000, "heartbeat_ms": 5_000})
        elif path.endswith("/stream") or path == "/api/v1/results":
            self.stream(self.server.results if path == "/api/v1/results" else self.server.tasks)
        elif path.endswith(("/frame", "/report")):
            self.say(200, {"results": [{"lease_token": r["lease_token"], "accepted": True} for r in body["reports"]]})
        elif path.endswith("/heartbeat"):
            self.say(200, {"cancel": [], "lease_ttl_ms": 15_000})
        elif path.endswith("/claim"):
            said = self.server.tasks.get(timeout=10)
            self.say(200, said if said else {"tasks": []})
        elif path.startswith("/api/v1/results/"):
            missing = [id for id in body["tasks"] if id.startswith("gone")]
            self.say(200, {"open": 1, "missing": missing})
        elif path == "/api/v1/tasks/batch":
            self.say(201, {"ids": [task["input"] for task in body["tasks"]]})
        else:
            self.say(201, {**ended(body["input"])["task"], "state": "succeeded" if "wait_ms" in self.path else "ready"})

    def duplex(self) -> None:
        """A stream that goes both ways: each line is a frame, whose answer comes down."""
        if not self.server.both:
            self.close_connection = True
            self.say(404, {"code": "not_found", "detail": "no such thing"})
            return
        with self.server.lock:
            self.server.asked.append((self.path, self.line()))
        threading.Thread(target=self.stream, args=(self.server.tasks,), daemon=True).start()
        while frame := self.line():
            with self.server.lock:
                self.server.asked.append(("/frame", {"stream": f"s_{self.server.streams}", **frame}))
            results = [{"lease_token": r["lease_token"], "accepted": True} for r in frame["reports"]]
            self.server.tasks.put({"n": frame["n"], "answer": {"results": results}})

    def line(self) -> Line | None:
        """The next chunk of the request, which is a line."""
        try:
            data = self.rfile.read(int(self.rfile.readline() or b"0", 16) + 2)
        except (OSError, ValueError):
            return None
        return json.loads(data) if data.strip() else None

    def stream(self, lines: queue.Queue[Line | None]) -> None:
        status = self.server.opens(self.path)
        if status != 200:
            self.say(status, {"code": "not_found", "detail": "no such thing"})
            return
        with self.server.lock:
            self.server.streams += 1
            number = self.server.streams
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        line: Line | None = {"stream": f"s_{number}"}
        while line is not None:
            data = json.dumps(line).encode() + b"\n"
            # Cut in the middle: a line may come in several pieces.
            for part in (data[:7], data[7:]):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.flush()
            line = lines.get()
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def say(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    late = time.monotonic() + 10
    while not holds():
        if time.monotonic() > late:
            raise AssertionError("it does not come to hold")
        time.sleep(0.005)


class WithServer(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Fake()
        self.addCleanup(self.server.end)
        logging.getLogger("kapelle").addHandler(logging.NullHandler())

    def serve(self, slots: int = 2, **more: Any) -> Host:
        """Runs a host of the workers `echo`, which waits for `self.gate`."""
        host = Host(self.server.url, "t", slots=slots, **more)
        self.gate = threading.Event()

        @host.worker("echo")
        def echo(ctx: Context, input: Any) -> Any:
            self.gate.wait(10)
            return input

        thread = threading.Thread(target=lambda: asyncio.run(host.serve()))
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(host.stop)
        self.addCleanup(self.gate.set)
        return host

    def reported(self) -> list[str]:
        reports = [report for body in self.server.of("/frame") + self.server.of("/report") for report in body["reports"]]
        return [report["lease_token"].removeprefix("lease-") for report in reports]


class Tasks(WithServer):
    way = "/stream"

    def test_a_report_tells_of_the_slot_that_it_frees(self) -> None:
        self.serve()
        self.server.push("a", "b")
        self.gate.set()
        until(lambda: sorted(self.reported()) == ["a", "b"])
        self.assertEqual(self.server.of(self.way), [{"credit": 2}])
        last = self.server.of("/frame")[-1]
        self.assertEqual((last["stream"], last["credit"]), ("s_1", 4))
        self.assertEqual(self.server.of("/ack") + self.server.of("/claim"), [])

    def test_a_stream_that_is_cut_is_opened_again_with_the_slots_that_are_free(self) -> None:
        self.serve()
        self.server.push("a")
        until(lambda: len(self.server.of(self.way)) == 1 and self.server.tasks.empty())
        time.sleep(0.1)
        self.server.tasks.put(None)
        until(lambda: len(self.server.of(self.way)) == 2)
        self.assertEqual(self.server.of(self.way)[1], {"credit": 1})
        self.gate.set()
        self.server.push("b")
        until(lambda: sorted(self.reported()) == ["a", "b"])
        last = self.server.of("/frame")[-1]
        self.assertEqual((last["stream"], last["credit"]), ("s_2", 3))

    def test_an_attempt_that_lasts_is_renewed_soon_after_it_has_come(self) -> None:
        self.serve()
        self.server.push("a")
        until(lambda: any(body["tasks"] == [{"lease_token": "lease-a"}] for body in self.server.of("/heartbeat")))

    def test_what_is_cancelled_on_the_stream_frees_its_slot(self) -> None:
        self.serve()
        self.server.push("a")
        self.server.tasks.put({"cancel": ["lease-a"]})
        until(lambda: self.server.tasks.empty())
        time.sleep(0.1)
        self.gate.set()
        until(lambda: any(body["credit"] == 3 for body in self.server.of("/frame")))
        self.assertEqual(self.reported(), [])


class BothWays(Tasks):
    """The same over streams that go both ways."""

    way = "/duplex"

    def setUp(self) -> None:
        super().setUp()
        self.server.both = True


class Polls(WithServer):
    def test_a_host_polls_where_there_are_no_streams(self) -> None:
        for status in (404, 405):
            self.server.opens = lambda path, status=status: status  # type: ignore[misc]
            host = self.serve()
            self.gate.set()
            self.server.push(f"a{status}")
            until(lambda: f"a{status}" in self.reported())
            host.stop()
            self.server.tasks.put({"tasks": []})
        self.assertEqual(self.server.of("/frame"), [])

    def test_a_host_polls_where_a_proxy_keeps_the_stream_to_itself(self) -> None:
        kept, kapelle._lines._FIRST = kapelle._lines._FIRST, 0.2
        self.addCleanup(setattr, kapelle._lines, "_FIRST", kept)

        def silent(path: str) -> int:
            time.sleep(1)
            return 405

        self.server.opens = silent
        self.serve()
        self.gate.set()
        self.server.push("a")
        until(lambda: self.reported() == ["a"])
        self.assertTrue(self.server.of("/claim"))

    def test_a_host_polls_when_it_is_told_to(self) -> None:
        self.serve(long_poll=True)
        self.gate.set()
        self.server.push("a")
        until(lambda: self.reported() == ["a"])
        self.assertEqual(self.server.of("/stream"), [])


class Results(WithServer):
    def test_one_stream_tells_a_thread_of_all(self) -> None:
        with Client(self.server.url, "t") as client:
            self.server.results.put(ended("b"))
            self.server.results.put(None)
            self.server.results.put(ended("a"))
            self.assertEqual([task.id for task in client.tasks.as_completed(["a", "b"])], ["b", "a"])
        self.assertEqual(self.server.of("/results"), [{"tasks": ["a", "b"]}, {"tasks": ["a"]}])

    def test_a_wait_ends_in_time(self) -> None:
        with Client(self.server.url, "t") as client, self.assertRaises(WaitTimeout):
            client.tasks.wait_all(["a", "b"], timeout=0.2)

    def test_a_task_that_does_not_exist_ends_the_wait(self) -> None:
        self.server.results.put({"stream": "s", "missing": ["gone_1"]})
        with Client(self.server.url, "t") as client, self.assertRaises(NotFound):
            client.tasks.wait_all(["a", "gone_1"], timeout=5)

    def test_tasks_are_asked_for_where_there_are_no_streams(self) -> None:
        self.server.opens = lambda path: 404
        with Client(self.server.url, "t") as client:
            self.assertEqual([task.id for task in client.tasks.wait_all(["a", "b"])], ["a", "b"])
        with Client(self.server.url, "t", long_poll=True) as client:
            self.assertEqual([task.id for task in client.tasks.wait_all(["c", "d"])], ["c", "d"])
        self.assertEqual(len(self.server.of("/results")), 1)

    def test_a_run_alone_is_one_request(self) -> None:
        with Client(self.server.url, "t") as client:
            self.assertEqual(client.run("echo", "a").result(), "a")
        self.assertEqual([path.partition("=")[0] for path, _ in self.server.asked], ["/api/v1/tasks?wait_ms"])

    def test_runs_of_coroutines_share_requests_and_a_stream(self) -> None:
        async def work() -> list[Any]:
            async with AsyncClient(self.server.url, "t") as client:
                for id in ("b", "c", "a"):
                    # These ends come before the answers to the submits.
                    self.server.results.put(ended(id))
                tasks = await asyncio.gather(*(client.run("echo", id) for id in ("a", "b", "c")))
                return [task.result() for task in tasks]

        self.assertEqual(asyncio.run(work()), ["a", "b", "c"])
        opened = [path for path, _ in self.server.asked if path == "/api/v1/results"]
        self.assertEqual(len(opened), 1)
        self.assertTrue(any("results=s_1" in path for path, _ in self.server.asked), self.server.asked)

    def test_waits_of_coroutines_go_on_after_a_cut_and_end_in_time(self) -> None:
        async def work() -> None:
            async with AsyncClient(self.server.url, "t") as client:
                self.server.results.put(None)
                found = asyncio.ensure_future(client.tasks.wait_all(["a", "b"]))
                while self.server.streams < 2:
                    await asyncio.sleep(0.01)
                self.server.results.put(ended("b"))
                self.server.results.put(ended("a"))
                self.assertEqual([task.id for task in await found], ["a", "b"])
                with self.assertRaises(WaitTimeout):
                    await client.tasks.wait("c", timeout=0.1)
                with self.assertRaises(NotFound):
                    await client.tasks.wait("gone_1", timeout=5)

        asyncio.run(work())

    def test_coroutines_ask_for_tasks_where_there_are_no_streams(self) -> None:
        self.server.opens = lambda path: 404

        async def work() -> None:
            async with AsyncClient(self.server.url, "t") as client:
                self.assertEqual([task.id for task in await client.tasks.wait_all(["a", "b"])], ["a", "b"])
                tasks = await asyncio.gather(*(client.run("echo", id) for id in ("c", "d")))
                self.assertEqual([task.result() for task in tasks], ["c", "d"])

        asyncio.run(work())


class Async(WithServer):
    def test_an_async_function_is_run_and_reported(self) -> None:
        host = Host(self.server.url, "t")

        @host.worker("echo")
        async def echo(ctx: AsyncContext, input: Any) -> Any:
            return input

        async def work() -> None:
            serving = asyncio.ensure_future(host.serve())
            await host.ready
            self.server.push("a")
            while not self.reported():
                await asyncio.sleep(0.01)
            host.stop()
            await serving

        asyncio.run(work())
        self.assertEqual(self.reported(), ["a"])


if __name__ == "__main__":
    unittest.main()
