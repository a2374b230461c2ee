"""`kapelle.testing`, hosts that are waited for, and clients of contexts, as far as they need no server."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

from kapelle import AsyncContext, Context, Host, KapelleError, NoGateway, NotFound, Output, WaitTimeout
from kapelle.testing import AsyncFakeContext, FakeContext, TestServer, call_worker

BINARY = """#!{python}
import os, sys
import time
os.makedirs(".kapelle")
for name, text in ((".kapelle/token", "kap_test"), ("seen", " ".join(os.environ))):
    with open(name, "w") as file:
        file.write(text)
print("listening=127.0.0.1:1", flush=True)
time.sleep(60)
"""


class Fakes(unittest.TestCase):
    def test_a_fake_context_has_what_was_given(self) -> None:
        files: dict[str, bytes | str] = {"sha256:1": b"one", "sha256:2": "two"}
        ctx = FakeContext(task_id="task_9", run_id="run_1", attempt=2, timeout=5, llm="model", files=files, client="c")
        self.assertEqual((ctx.task_id, ctx.run_id, ctx.attempt, ctx.timeout), ("task_9", "run_1", 2, 5.0))
        self.assertEqual((ctx.llm, ctx.client), ("model", "c"))
        self.assertEqual((ctx.file("sha256:1"), ctx.file({"$file": "sha256:2"})), (b"one", b"two"))
        with self.assertRaises(NotFound):
            ctx.file("sha256:3")
        plain = FakeContext()
        with self.assertRaisesRegex(KapelleError, "pass client="):
            plain.client
        with self.assertRaises(NoGateway):
            plain.llm
        with self.assertRaisesRegex(TypeError, "unknown option of FakeContext"):
            FakeContext(taskid="task_1")  # type: ignore[call-arg]
        self.assertEqual(FakeContext(gateway=("http://g/v1", "t")).gateway, ("http://g/v1", "t"))

    def test_a_worker_is_called_as_a_host_calls_it(self) -> None:
        host = Host("http://127.0.0.1:1", "t")

        @host.worker("plain")
        def plain(ctx: Context, input: Any) -> Any:
            ctx.progress(1.0)
            return Output((input, ctx.worker), provider="p")

        @host.worker("awaited")
        async def awaited(ctx: AsyncContext, input: Any) -> Any:
            await asyncio.sleep(0)
            return [ctx.task_id, (await ctx.file("sha256:1")).decode()]

        self.assertEqual(call_worker(host, "plain", {"a": (1, 2)}), [{"a": [1, 2]}, "plain"])
        ctx = AsyncFakeContext(files={"sha256:1": "x"})
        self.assertEqual(call_worker(host, "awaited", ctx=ctx), ["task_1", "x"])
        with self.assertRaisesRegex(ValueError, "no worker `other`, but awaited, plain"):
            call_worker(host, "other")

        @host.worker("odd")
        def odd(ctx: Context, input: Any) -> Any:
            return {1, 2}

        with self.assertRaisesRegex(ValueError, "not JSON"):
            call_worker(host, "odd")

    @unittest.skipIf(sys.platform == "win32", "needs a script as a program")
    def test_a_server_gets_a_folder_and_nothing_of_the_environment(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "kapelle"
            program.write_text(BINARY.format(python=sys.executable))
            program.chmod(0o755)
            os.environ["OPENAI_API_KEY"] = "secret"
            try:
                with TestServer(binary=str(program), config="a: 1\n", files={"w/x.yaml": "x"}) as server:
                    self.assertEqual((server.url, server.token), ("http://127.0.0.1:1", "kap_test"))
                    self.assertEqual((server.folder / "kapelle.yaml").read_text(), "a: 1\n")
                    self.assertEqual((server.folder / "w/x.yaml").read_text(), "x")
                    self.assertEqual(server.client().url, server.url)
                    self.assertNotIn("OPENAI", (server.folder / "seen").read_text())
            finally:
                del os.environ["OPENAI_API_KEY"]
            self.assertFalse(server.folder.exists())
            program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such luck')\n")
            with self.assertRaisesRegex(KapelleError, "ended instead of listening: no such luck"):
                TestServer(binary=str(program))
        with self.assertRaisesRegex(KapelleError, "set KAPELLE_BINARY"):
            TestServer(binary="/nowhere/kapelle")


class Readiness(unittest.TestCase):
    def host(self) -> Host:
        host = Host("http://127.0.0.1:1", "t")
        host.worker("w")(lambda ctx, input: input)
        return host

    def test_a_host_without_a_server_is_not_ready(self) -> None:
        host = self.host()
        thread = threading.Thread(target=lambda: asyncio.run(host.serve()))
        thread.start()
        with self.assertRaisesRegex(WaitTimeout, "goes on trying"):
            host.wait_ready(0.1)
        host.stop()
        thread.join(5)
        with self.assertRaisesRegex(KapelleError, "ended before it was registered"):
            host.wait_ready(1)

    def test_one_waiter_that_is_cancelled_does_not_end_the_wait_of_others(self) -> None:
        host = self.host()

        async def work() -> None:
            serving = asyncio.ensure_future(host.serve())

            async def ready() -> None:
                await host.ready

            first, second = asyncio.ensure_future(ready()), asyncio.ensure_future(ready())
            await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.sleep(0.01)
            self.assertFalse(second.done())
            host.stop()
            await serving
            with self.assertRaises(KapelleError):
                await second

        asyncio.run(work())

    def test_contexts_of_a_host_share_a_client(self) -> None:
        ctx = FakeContext()
        clients = ctx._attempt.clients
        self.assertIs(clients.client, clients.client)
        self.assertIs(clients.async_client, clients.async_client)
        asyncio.run(clients.close())


if __name__ == "__main__":
    unittest.main()
