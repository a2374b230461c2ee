"""The transports against sockets that answer as they are told."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Callable
from unittest import mock

from kapelle._http import AnswerTimeout, ConnectError, Parser, Pool, Response, TransportError
from kapelle._http_async import AsyncPool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"


class Listener:
    """Accepts connections and answers every request on them with the bytes given for it."""

    def __init__(self, answer: Callable[[int, int], bytes | None], context: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            if self._context:
                try:
                    peer = self._context.wrap_socket(peer, server_side=True)
                except OSError:
                    continue
            self.connections += 1
            self._open.append(peer)
            threading.Thread(target=self._serve, args=(peer, self.connections), daemon=True).start()

    def _serve(self, peer: socket.socket, connection: int) -> None:
        number = 0
        with peer:
            while True:
                request = b""
                try:
                    while b"\r\n\r\n" not in request:
                        data = peer.recv(65536)
                        if not data:
                            return
                        request += data
                    head, _, body = request.partition(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                    while len(body) < int(length or 0):
                        body += peer.recv(65536)
                    self.requests.append(request)
                    answer = self._answer(connection, number)
                    number += 1
                    if answer is None:
                        return
                    peer.sendall(answer)
                except OSError:
                    return

    def drop(self) -> None:
        """Closes the connections that are open."""
        for peer in self._open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._socket.close()
        self.drop()


class Answers(unittest.TestCase):
    def whole(self, data: bytes, size: int) -> tuple[Parser, bytes]:
        parser = Parser()
        body = b"".join(parser.feed(data[at : at + size]) for at in range(0, len(data), size))
        return parser, body

    def test_answers_are_read_however_the_bytes_are_cut(self) -> None:
        for data, expected in ((OK, b"ok"), (CHUNKED, b"ok0123456789"), (b"HTTP/1.1 100 C\r\n\r\n" + OK, b"ok")):
            for size in range(1, len(data) + 1):
                parser, body = self.whole(data, size)
                self.assertEqual((parser.status, body, parser.done, parser.reusable), (200, expected, True, True), size)

    def test_an_answer_that_ends_with_its_connection_is_not_reused(self) -> None:
        parser, body = self.whole(b"HTTP/1.1 200 OK\r\n\r\nab", 5)
        self.assertFalse(parser.done)
        parser.end()
        self.assertEqual((body, parser.done, parser.reusable), (b"ab", True, False))
        for data in (b"HTTP/1.1 204 N\r\nConnection: close\r\n\r\n", OK + b"surplus", b"HTTP/1.0 204 N\r\n\r\n"):
            self.assertEqual((self.whole(data, 1000)[0].done, self.whole(data, 1000)[0].reusable), (True, False), data)

    def test_what_is_cut_or_is_no_http_is_an_error(self) -> None:
        for data in (OK[:-1], CHUNKED[:-2], CHUNKED[:70], OK[:10], b""):
            with self.assertRaises(TransportError):
                self.whole(data, 7)[0].end()
        bad = (b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")
        for data in (*bad, b"x" * 70_000, CHUNKED.replace(b"2;a=b", b"-2"), CHUNKED.replace(b"2;a=b", b"zz")):
            with self.assertRaises(TransportError):
                self.whole(data, 1000)


async def once(pool: AsyncPool) -> Response:
    """Asks, and leaves no connection behind."""
    try:
        return await pool.request("GET", "/x", {}, None, 1)
    finally:
        await pool.close()


class Connections(unittest.TestCase):
    def both(
        self, answer: Callable[[int, int], bytes | None], use: Callable[[Listener, Callable[[], Response]], None]
    ) -> None:
        """Does the same with both transports."""
        listener = Listener(answer)
        pool = Pool(listener.url, "t", proxies=False)
        use(listener, lambda: pool.request("GET", "/x", {}, None, 0.5))
        pool.close()
        listener.close()
        listener = Listener(answer)
        loop = asyncio.new_event_loop()
        awaited = AsyncPool(listener.url, "t", proxies=False)
        use(listener, lambda: loop.run_until_complete(awaited.request("GET", "/x", {}, None, 0.5)))
        loop.run_until_complete(awaited.close())
        listener.close()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    def test_a_connection_is_used_again(self) -> None:
        def use(listener: Listener, ask: Callable[[], Response]) -> None:
            for _ in range(3):
                self.assertEqual(ask().body, b"ok")
            self.assertEqual((listener.connections, len(listener.requests)), (1, 3))

        self.both(lambda *_: OK, use)

    def test_a_connection_that_was_closed_meanwhile_is_not(self) -> None:
        def use(listener: Listener, ask: Callable[[], Response]) -> None:
            ask()
            listener.drop()
            time.sleep(0.05)
            # An event loop hears of it only when it runs.
            try:
                ask()
            except TransportError:
                ask()
            self.assertEqual(listener.connections, 2)

        self.both(lambda *_: OK, use)

    def test_a_connection_that_says_more_than_it_was_asked_is_not(self) -> None:
        def use(listener: Listener, ask: Callable[[], Response]) -> None:
            for _ in range(2):
                self.assertEqual(ask().body, b"ok")
            self.assertEqual(listener.connections, 2)

        self.both(lambda *_: OK + OK, use)

    def test_silence_and_a_cut_are_errors_and_end_the_connection(self) -> None:
        def silent(listener: Listener, ask: Callable[[], Response]) -> None:
            with self.assertRaises(AnswerTimeout):
                ask()

        def cut(listener: Listener, ask: Callable[[], Response]) -> None:
            with self.assertRaises(TransportError) as raised:
                ask()
            self.assertNotIsInstance(raised.exception, (ConnectError, AnswerTimeout))
            self.assertEqual(ask().body, b"ok")

        self.both(lambda *_: OK[:20], silent)
        self.both(lambda connection, _: None if connection == 1 else OK, cut)

    def test_nobody_listening_is_told_apart(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with self.assertRaises(ConnectError):
            Pool(url, "t", proxies=False).request("GET", "/", {}, None, 1)
        with self.assertRaises(ConnectError):
            asyncio.run(AsyncPool(url, "t", proxies=False).request("GET", "/", {}, None, 1))

    def test_a_header_cannot_become_two(self) -> None:
        for value in ("a\r\nb: c", "a\nb", "é"):
            with self.assertRaisesRegex(ValueError, "idempotency-key"):
                Pool("http://127.0.0.1:1", "t", proxies=False).request("GET", "/", {"idempotency-key": value}, None, 1)

    def test_each_event_loop_has_connections_of_its_own(self) -> None:
        listener = Listener(lambda *_: OK)
        pool = AsyncPool(listener.url, "t", proxies=False)
        for _ in range(2):
            self.assertEqual(asyncio.run(once(pool)).body, b"ok")
        self.assertEqual(listener.connections, 2)
        listener.close()

    def test_an_awaited_request_that_is_cancelled_ends_its_connection(self) -> None:
        listener = Listener(lambda connection, _: b"" if connection == 1 else OK)

        async def work() -> None:
            pool = AsyncPool(listener.url, "t", proxies=False)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(pool.request("GET", "/", {}, None, 5), 0.05)
            self.assertEqual((await pool.request("GET", "/", {}, None, 5)).body, b"ok")
            await pool.close()

        asyncio.run(work())
        self.assertEqual(listener.connections, 2)
        listener.close()

    @unittest.skipUnless(hasattr(os, "fork"), "no fork here")
    def test_a_forked_process_has_connections_of_its_own(self) -> None:
        listener = Listener(lambda *_: OK)
        pool = Pool(listener.url, "t", proxies=False)
        pool.request("GET", "/", {}, None, 1)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if pool.request("GET", "/child", {}, None, 1).body == b"ok" else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        pool.request("GET", "/", {}, None, 1)
        self.assertEqual(listener.connections, 2)
        pool.close()
        listener.close()

    def test_a_proxy_is_asked_on_the_way_to_another_machine(self) -> None:
        def use(listener: Listener) -> None:
            with mock.patch.dict(os.environ, {"HTTP_PROXY": "", "http_proxy": listener.url.replace("//", "//u:p@")}):
                far = Pool("http://example.invalid:99/base", "t", proxies=True)
                awaited = AsyncPool("http://example.invalid:99/base", "t", proxies=True)
            self.assertEqual(far.request("GET", "/x", {}, None, 1).body, b"ok")
            asyncio.run(once(awaited))
            for request in listener.requests:
                self.assertTrue(request.startswith(b"GET http://example.invalid:99/base/x HTTP/1.1\r\n"), request)
                self.assertIn(b"proxy-authorization: Basic dTpw\r\n", request)
            far.close()

        listener = Listener(lambda *_: OK)
        use(listener)
        listener.close()


@unittest.skipUnless(shutil.which("openssl"), "makes a certificate with openssl")
class Secured(unittest.TestCase):
    folder: tempfile.TemporaryDirectory[str]
    cert: str
    key: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.cert, cls.key = f"{cls.folder.name}/cert.pem", f"{cls.folder.name}/key.pem"
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", cls.key, "-out", cls.cert]
        subprocess.run([*make.split(), *names], check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def listener(self) -> Listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        listener = Listener(lambda *_: CHUNKED, context)
        self.addCleanup(listener.close)
        return listener

    def ask(self, url: str, proxies: bool) -> None:
        """Asks twice with both transports."""
        pool = Pool(url, "t", proxies=proxies)
        for _ in range(2):
            self.assertEqual(pool.request("POST", "/x", {}, b"y" * 300_000, 5).body, b"ok0123456789")
        pool.close()

        async def work() -> None:
            awaited = AsyncPool(url, "t", proxies=proxies)
            for _ in range(2):
                self.assertEqual((await awaited.request("GET", "/x", {}, None, 5)).body, b"ok0123456789")
            await awaited.close()
            await asyncio.sleep(0.01)

        asyncio.run(work())

    def test_a_trusted_server_is_talked_to_and_another_is_not(self) -> None:
        listener = self.listener()
        url = listener.url.replace("http://127.0.0.1", "https://localhost")
        with mock.patch.dict(os.environ, {"SSL_CERT_FILE": self.cert}):
            self.ask(url, False)
            self.assertEqual(listener.connections, 2)
            with self.assertRaises(ConnectError):
                Pool(url.replace("localhost", "127.0.0.1"), "t", proxies=False).request("GET", "/", {}, None, 5)
        with self.assertRaisesRegex(ConnectError, "(?i)certificate"):
            Pool(url, "t", proxies=False).request("GET", "/", {}, None, 5)
        with self.assertRaisesRegex(ConnectError, "(?i)certificate"):
            asyncio.run(AsyncPool(url, "t", proxies=False).request("GET", "/", {}, None, 5))

    def test_a_proxy_opens_a_tunnel(self) -> None:
        listener, proxy = self.listener(), Tunnel()
        self.addCleanup(proxy.close)
        url = listener.url.replace("http://127.0.0.1", "https://localhost")
        surroundings = {"SSL_CERT_FILE": self.cert, "HTTPS_PROXY": "", "https_proxy": proxy.url, "no_proxy": ""}
        with mock.patch.dict(os.environ, surroundings):
            self.ask(url, True)
        self.assertEqual(proxy.asked, [f"CONNECT {url.removeprefix('https://')} HTTP/1.1"] * 2)


class Tunnel:
    """A proxy that opens tunnels."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.asked.append(peer.recv(65536).decode().partition("\r\n")[0])
            host, _, port = self.asked[-1].split()[1].partition(":")
            far = socket.create_connection((host, int(port)))
            peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for source, target in ((peer, far), (far, peer)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            source.close()

    def close(self) -> None:
        self._socket.close()


if __name__ == "__main__":
    unittest.main()
