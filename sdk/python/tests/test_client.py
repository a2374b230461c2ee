"""The client against a small server that keeps the promises of the real one: keys, all or none, refusals."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import unittest
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

from kapelle import AsyncClient, Client, Host, InvalidInput, NewTask, Page, Retry, TooMany, Unavailable, Unreachable


class Fake(ThreadingHTTPServer):
    """A server that knows tasks. A worker named `bad` is refused."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.keys: dict[str, Any] = {}
        self.requests: list[tuple[str, int]] = []
        self.delay = 0.0
        self.cut: Callable[[str, int], bool] = lambda path, number: False
        """Says of a request, by its number, whether its answer is lost."""
        self.refuse: Callable[[int], tuple[int, str] | None] = lambda number: None
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that is gone is part of the tests."""

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, path: str, key: str, body: Any) -> tuple[int, Any]:
        if path == "/api/v1/results":
            return 404, {"code": "not_found", "detail": "this server has no streams"}
        tasks = body["tasks"] if path.endswith("/batch") else [body]
        if key in self.keys:
            return 201, self.keys[key]
        for task in tasks:
            if task["worker"] == "bad":
                return 422, {"code": "invalid_input", "detail": "bad"}
        ids = [f"task_{len(self.tasks) + at}" for at in range(len(tasks))]
        self.tasks += tasks
        self.keys[key] = {"ids": ids} if path.endswith("/batch") else {"id": ids[0], "state": "ready", "attempt": 0}
        return 201, self.keys[key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(self.server.delay)
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append((self.path, len(body.get("tasks", [0]))))
            refused = self.server.refuse(number)
            if refused:
                status, answer = refused[0], {"code": refused[1], "detail": "no"}
            else:
                status, answer = self.server.answer(self.path, self.headers["idempotency-key"], body)
        if self.server.cut(self.path, number):
            self.close_connection = True
            return
        self.say(status, answer)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        with self.server.lock:
            self.server.requests.append((self.path, 0))
        if path == "/api/v1/tasks":
            at = int(query.partition("cursor=")[2] or 0)
            rows = [{"id": f"task_{n}", "state": "ready"} for n in range(at, at + 2)]
            self.say(200, {"tasks": rows, "next_cursor": str(at + 2) if at < 4 else None})
        elif path.startswith("/api/v1/tasks/"):
            self.say(200, {"id": path.rpartition("/")[2], "state": "succeeded", "output": 1})
        else:
            self.say(200, {"queues": [{"name": "default"}]})

    def say(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class WithServer(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Fake()
        self.addCleanup(self.server.end)

    def submitted(self, workers: list[str]) -> list[Any]:
        """What came of submits at once: an id, or the error."""
        found: list[Any] = [None] * len(workers)
        with Client(self.server.url, "t", retry_for=2) as client:

            def submit(at: int) -> None:
                try:
                    found[at] = client.tasks.submit(workers[at], at).id
                except Exception as error:
                    found[at] = error

            threads = [threading.Thread(target=submit, args=(at,)) for at in range(len(workers))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
        return found

    def submitted_async(self, workers: list[str]) -> list[Any]:
        """The same with asyncio."""

        async def work() -> list[Any]:
            async with AsyncClient(self.server.url, "t", retry_for=2) as client:
                submits = [client.tasks.submit(worker, at) for at, worker in enumerate(workers)]
                return [
                    one if isinstance(one, BaseException) else one.id
                    for one in await asyncio.gather(*submits, return_exceptions=True)
                ]

        return asyncio.run(work())

    def inputs(self) -> list[int]:
        return sorted(task["input"] for task in self.server.tasks)


class SubmitsTogether(WithServer):
    def both(self, check: Callable[[Callable[[list[str]], list[Any]]], None]) -> None:
        check(self.submitted)
        self.server.end()
        self.server = Fake()
        self.addCleanup(self.server.end)
        check(self.submitted_async)

    def test_what_is_ready_while_a_request_is_under_way_goes_with_the_next(self) -> None:
        def check(submit: Callable[[list[str]], list[Any]]) -> None:
            self.server.delay = 0.05
            found = submit(["w"] * 30)
            for at, id in enumerate(found):
                self.assertEqual(self.server.tasks[int(id.removeprefix("task_"))]["input"], at)
            self.assertLessEqual(len(self.server.requests), 6)
            self.assertEqual(self.server.requests[0], ("/api/v1/tasks", 1))

        self.both(check)

    def test_each_has_its_own_error_and_none_is_made_twice(self) -> None:
        def check(submit: Callable[[list[str]], list[Any]]) -> None:
            self.server.delay = 0.02
            found = submit(["bad" if at % 7 == 3 else "w" for at in range(30)])
            for at, one in enumerate(found):
                self.assertEqual(isinstance(one, InvalidInput), at % 7 == 3, one)
            self.assertEqual(self.inputs(), [at for at in range(30) if at % 7 != 3])

        self.both(check)

    def test_a_lost_answer_makes_none_twice(self) -> None:
        def check(submit: Callable[[list[str]], list[Any]]) -> None:
            self.server.delay = 0.02
            self.server.cut = lambda path, number: number in (0, 1, 3)
            found = submit(["w"] * 20)
            self.assertEqual(len(set(found)), 20)
            self.assertEqual(self.inputs(), list(range(20)))

        self.both(check)

    def test_after_a_lost_answer_a_refusal_sends_none_again(self) -> None:
        def check(submit: Callable[[list[str]], list[Any]]) -> None:
            self.server.delay = 0.05
            lost: list[int] = []

            def cut(path: str, number: int) -> bool:
                if path.endswith("batch") and not lost:
                    lost.append(number)
                return number in lost

            self.server.cut = cut
            self.server.refuse = lambda number: (429, "too_many") if lost and number > lost[0] else None
            found = submit(["w"] * 10)
            undecided = [one for one in found if isinstance(one, Unreachable)]
            self.assertGreaterEqual(len(undecided), 2)
            self.assertIn("may have been made", str(undecided[0]))
            self.assertIsNot(undecided[0], undecided[1])
            # Each task was made once at most.
            self.assertEqual(len(self.inputs()), len(set(self.inputs())))
            self.assertTrue(all(isinstance(one, (str, Unreachable, TooMany)) for one in found), found)

        self.both(check)

    def test_a_refusal_of_the_server_holds_for_each(self) -> None:
        def check(submit: Callable[[list[str]], list[Any]]) -> None:
            self.server.delay = 0.05
            self.server.refuse = lambda number: (503, "unavailable")
            found = submit(["w"] * 10)
            self.assertTrue(all(isinstance(one, Unavailable) for one in found), found)
            self.assertEqual(len({id(one) for one in found}), 10)
            self.assertLessEqual(len(self.server.requests), 4)

        self.both(check)

    def test_own_keys_groups_and_large_tasks_go_alone(self) -> None:
        self.server.delay = 0.02

        async def work() -> None:
            async with AsyncClient(self.server.url, "t") as client:
                more: list[dict[str, Any]] = [{"idempotency_key": "k"}, {"group": "g"}, {"input": "x" * 40_000}]
                submits = [client.tasks.submit("w", **{"input": 1, **one}) for one in more * 2]
                await asyncio.gather(*submits)

        asyncio.run(work())
        self.assertEqual({size for path, size in self.server.requests}, {1})
        self.assertEqual(len(self.server.tasks), 5)

    def test_a_cancelled_submit_does_not_keep_others_waiting(self) -> None:
        self.server.delay = 0.05

        async def work() -> list[Any]:
            async with AsyncClient(self.server.url, "t") as client:
                tasks = [asyncio.ensure_future(client.tasks.submit("w", at)) for at in range(4)]
                await asyncio.sleep(0.01)
                tasks[0].cancel()
                tasks[2].cancel()
                return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

        found = asyncio.run(work())
        self.assertEqual([isinstance(one, asyncio.CancelledError) for one in found], [True, False, True, False])
        self.assertNotIn(2, self.inputs())

    def test_an_interrupted_submit_does_not_keep_others_waiting(self) -> None:
        self.server.delay = 0.05
        with Client(self.server.url, "t") as client:
            request = client._asker.http.request
            interrupted: list[threading.Thread] = []

            def interrupt(method: str, target: str, *rest: Any) -> Any:
                answer = request(method, target, *rest)
                if target.endswith("batch") and not interrupted:
                    interrupted.append(threading.current_thread())
                    raise KeyboardInterrupt
                return answer

            found: list[Any] = [None] * 8

            def submit(at: int) -> None:
                try:
                    found[at] = client.tasks.submit("w", at).id
                except KeyboardInterrupt as error:
                    found[at] = error

            with mock.patch.object(client._asker.http, "request", interrupt):
                threads = [threading.Thread(target=submit, args=(at,)) for at in range(8)]
                for thread in threads:
                    thread.start()
                    time.sleep(0.002)
                for thread in threads:
                    thread.join(5)
        self.assertEqual(sum(isinstance(one, KeyboardInterrupt) for one in found), 1)
        self.assertEqual(sum(isinstance(one, str) for one in found), 7)
        self.assertEqual(self.inputs(), list(range(8)))


class Lists(WithServer):
    def test_a_page_is_iterated_counted_and_followed(self) -> None:
        with Client(self.server.url, "t") as client:
            page = client.tasks.list(state="ready")
            self.assertEqual([task.id for task in page], ["task_0", "task_1"])
            self.assertEqual((len(page), page.items[1].id, page[-1].id), (2, "task_1", "task_1"))
            self.assertEqual([task.id for task in page.all()], [f"task_{n}" for n in range(6)])
            self.assertIn(("/api/v1/tasks?state=ready&cursor=4", 0), self.server.requests)
            queues = client.queues.list()
            self.assertIsInstance(queues, Page)
            self.assertEqual((queues[0]["name"], queues.next_page()), ("default", None))

        async def work() -> list[str]:
            async with AsyncClient(self.server.url, "t") as client:
                return [task.id async for task in (await client.tasks.list()).all()]

        self.assertEqual(len(asyncio.run(work())), 6)

    def test_many_are_waited_for_in_order_and_as_they_end(self) -> None:
        ids = [f"task_{n}" for n in range(40)]
        with Client(self.server.url, "t") as client:
            self.assertEqual([task.id for task in client.tasks.wait_all([*ids, "task_0"])], [*ids, "task_0"])
            self.assertEqual({task.id for task in client.tasks.as_completed(client.tasks.wait_all(ids))}, set(ids))

        async def work() -> None:
            async with AsyncClient(self.server.url, "t") as client:
                self.assertEqual([task.id for task in await client.tasks.wait_all(ids, timeout=5)], ids)
                self.assertEqual({task.id async for task in client.tasks.as_completed(ids)}, set(ids))

        asyncio.run(work())

    def test_a_task_knows_what_was_asked_for(self) -> None:
        with Client(self.server.url, "t") as client:
            task = client.tasks.submit("w", queue="q")
        self.assertEqual((task.worker, task.queue), ("w", "q"))


class Options(unittest.TestCase):
    def refusal(self, call: Callable[..., Any], **given: Any) -> str:
        with self.assertRaises(TypeError) as raised:
            call(**given)
        return str(raised.exception)

    def test_words_of_other_queues_are_answered_with_those_of_this_one(self) -> None:
        with Client("http://127.0.0.1:1", "t") as client:
            submit: Callable[..., Any] = client.tasks.submit
            known = {
                "countdown": "use `delay`, in seconds or as a timedelta",
                "eta": "`delay=eta - now`",
                "attempts": "use `retry=5`",
                "backoff": "`retry=Retry(delay=1, multiplier=2)`",
                "jobId": "use `idempotency_key`",
                "task_id": "use `idempotency_key`",
                "queue_name": "use `queue`",
                "idempotencyKey": "use `idempotency_key`",
                "delay_ms": "use `delay`, in seconds",
                "max_retries": "use `retry=max_retries + 1`",
                "rate_limit": "`rate=\"60/minute\"`",
                "cron": "`client.schedules.create(",
                "periodic": "`client.schedules.create(",
                "link": "a workflow",
                "prioritty": "did you mean `priority`?",
                "frobnicate": "expected some of deadline, delay, group",
            }
            for name, advice in known.items():
                said = self.refusal(submit, worker="w", **{name: 1})
                self.assertTrue(said.startswith(f"{name}: unknown option of tasks.submit; "), said)
                self.assertIn(advice, said)
            self.assertIn("did you mean `state`", self.refusal(client.tasks.list, stat="ready"))
            self.assertIn("use `inputs`", self.refusal(client.runs.start, input=1))
            create: Callable[..., Any] = client.schedules.create
            for name, advice in {"every": "use `cron`", "input": "use `inputs`", "tz": "use `timezone`"}.items():
                self.assertIn(advice, self.refusal(create, name="n", worker="w", **{"cron": "1h", name: 1}))
            for given in ({}, {"worker": "w", "workflow": "f"}):
                with self.assertRaisesRegex(ValueError, "name a workflow to run, or a worker"):
                    create("n", "1h", **given)
        self.assertIn("`rate=", self.refusal(Host("http://127.0.0.1:1", "t").worker, name="w", rateLimit="1/s"))
        with self.assertRaisesRegex(TypeError, 'such as "60/minute", got 60'):
            Host("http://127.0.0.1:1", "t").worker("w", rate=60)(lambda ctx, input: None)  # type: ignore[arg-type]
        self.assertIn("`per_key`", self.refusal(Host("http://127.0.0.1:1", "t").worker, name="w", perKey=1))
        self.assertIn("use `slots`", self.refusal(Host, concurrency=4))
        self.assertIn("use `token`", self.refusal(Client, api_key="t"))
        self.assertIn("`max_attempts`", self.refusal(Retry, attempts=4))
        self.assertIn("unknown option of NewTask", self.refusal(NewTask, worker="w", countdown=1))

    def test_plain_values_stand_for_objects(self) -> None:
        wire = NewTask("w", retry=3, delay=timedelta(minutes=1), requires="gpu", deadline="2027-01-31T12:00:00Z").wire()
        self.assertEqual(wire["retry"], {"max_attempts": 3})
        self.assertEqual((wire["delay_ms"], wire["requires"]), (60_000, ["gpu"]))
        self.assertEqual(wire["deadline"], "2027-01-31T12:00:00Z")
        self.assertEqual(NewTask("w", retry={"delay": 2}).wire()["retry"], {"delay_ms": 2000})
        for wrong in ("3", 2.5, True):
            with self.assertRaisesRegex(TypeError, "retry: expected a number of attempts or a Retry"):
                NewTask("w", retry=wrong).wire()  # type: ignore[arg-type]
        with self.assertRaisesRegex(ValueError, "expected 1 "):
            NewTask("w", retry=0).wire()
        with self.assertRaisesRegex(TypeError, "number of seconds or a timedelta"):
            NewTask("w", delay="5").wire()  # type: ignore[arg-type]


if __name__ == "__main__":
    unittest.main()
