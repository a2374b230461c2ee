#!/usr/bin/env python3
"""Runs every sample use on the real program: offline, and with a double of a model provider.

Each folder of `samples/uses` has a `check.json`: `runs`, each with `arguments` and, under `offline` and `model`, the
outputs that are expected; `approve` answers the approvals of a run; `model` lists the answers of the double. `mail` lists
the mails that are expected by a mail server at the port of `workers/mailer.yaml`.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", ROOT / "target/release/kapelle"))
USES = ROOT / "samples/uses"
LIMIT = 120
"""Seconds after which a run has failed."""

# The answers of the double for the shipped workers. A worker is recognised by the fields that its answer must have.
SHIPPED: list[dict[str, Any]] = [
    {"text": "A summary by the model.", "key_points": ["One.", "Two.", "Three."]},
    {"sentiment": "negative", "score": -0.8, "tone": "urgent", "mood": "worried"},
    {"category": "health", "confidence": 0.9, "tags": ["first aid", "school", "course"]},
    {"insights": ["An insight."], "analysis": "An analysis by the model.", "recommendations": ["Do it."]},
    {"questions": [{"question": "What is asked?", "answer": "This."}]},
]


class Model:
    """A provider in the format of OpenAI that answers each schema with the planned object."""

    def __init__(self, planned: list[dict[str, Any]]) -> None:
        answers = {frozenset(answer): answer for answer in [*SHIPPED, *planned]}
        unknown: list[list[str]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
                fields = frozenset(schema.get("required", []))
                if fields not in answers:
                    unknown.append(sorted(fields))
                message = {"role": "assistant", "content": json.dumps(answers.get(fields, {}))}
                usage = {"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250}
                said = {"id": "chat-1", "created": 1, "model": body["model"]}
                if body.get("stream"):
                    said["object"] = "chat.completion.chunk"
                    parts = [{**said, "choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]},
                             {**said, "choices": [], "usage": usage}]
                    text = "".join(f"data: {json.dumps(part)}\n\n" for part in parts).encode() + b"data: [DONE]\n\n"
                else:
                    whole = {"index": 0, "message": message, "finish_reason": "stop"}
                    text = json.dumps({**said, "object": "chat.completion", "choices": [whole], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.unknown = unknown
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return {"OPENAI_API_KEY": "sk-of-the-double", "OPENAI_BASE_URL": address}

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mail:
    """A mail server that takes everything. Each mail is kept as its headers and its decoded parts."""

    def __init__(self) -> None:
        taken: list[str] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 double\r\n")
                while line := self.rfile.readline().decode().strip():
                    if line == "DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = iter(self.rfile.readline, b".\r\n")
                        said = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                        parts = [part.get_content() for part in said.walk() if not part.is_multipart()]
                        names = [part.get_filename("") for part in said.walk()]
                        heads = [f"{name}: {value}" for name, value in said.items()]
                        taken.append("\n".join([*heads, *map(str, parts), *names]))
                    self.wfile.write(b"221 bye\r\n" if line == "QUIT" else b"250 taken\r\n")
                    if line == "QUIT":
                        return

        self.taken = taken
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def configure(self, file: pathlib.Path) -> None:
        text = file.read_text()
        file.write_text(text.replace("port: 2525", f"port: {self._server.server_address[1]}"))

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def differences(expected: Any, found: Any, at: str = "outputs") -> list[str]:
    """Compares what is expected with what was found. `{"contains": [...]}` expects texts in a text."""
    if isinstance(expected, dict) and set(expected) == {"contains"}:
        return [f"{at}: `{text}` is not in {found!r}" for text in expected["contains"] if text not in str(found)]
    if isinstance(expected, dict) and isinstance(found, dict):
        return [fault for key, value in expected.items() for fault in differences(value, found.get(key), f"{at}.{key}")]
    return [] if expected == found else [f"{at}: expected {expected!r}, found {found!r}"]


def answered(place: pathlib.Path, environment: dict[str, str], answer: str) -> None:
    """Answers the one open approval, as another person at another terminal would."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        listed = subprocess.run([KAPELLE, "approvals", "list", "--json"], cwd=place, env=environment, capture_output=True, text=True)
        waiting = json.loads(listed.stdout)["approvals"] if listed.returncode == 0 else []
        if waiting:
            subprocess.run([KAPELLE, "approvals", answer, waiting[0]["id"]], cwd=place, env=environment, check=True,
                           capture_output=True, text=True)
            return
        time.sleep(0.05)
    raise AssertionError("no approval came up")


@contextlib.contextmanager
def serving(place: pathlib.Path, environment: dict[str, str]) -> Iterator[None]:
    """Serves the folder until the block ends."""
    with (place / "serve.log").open("w") as log:
        server = subprocess.Popen([KAPELLE, "serve", "--listen", "127.0.0.1:0"], cwd=place, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + LIMIT
        while "http://" not in (place / "serve.log").read_text():
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start: {(place / 'serve.log').read_text()[-1000:]}")
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(timeout=LIMIT)


def run(place: pathlib.Path, wanted: dict[str, Any], extra: dict[str, str]) -> dict[str, Any]:
    known = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "ANTHROPIC_", "KAPELLE_", "AI_"))}
    environment = {**known, **extra, "NO_COLOR": "1", "KAPELLE_DATA": str(place / ".kapelle")}
    command = [KAPELLE, "run", "workflow.yaml", "--json", *wanted.get("arguments", [])]
    with contextlib.ExitStack() as ends:
        if "answer" in wanted:  # a run in a process of its own could not be answered while it waits
            ends.enter_context(serving(place, environment))
        going = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ends.callback(going.kill)
        if "answer" in wanted:
            answered(place, environment, wanted["answer"])
        out, err = going.communicate(timeout=LIMIT)
    code = wanted.get("exit_code", 0)
    if going.returncode != code:
        raise AssertionError(f"exit code {going.returncode} instead of {code}: {err[-2000:]}{out[-500:]}")
    return json.loads(out)


def use(folder: pathlib.Path) -> int:
    """Runs one use in every way that its check names, and returns the number of runs."""
    check = json.loads((folder / "check.json").read_text())
    if not (folder / "README.md").is_file():
        raise AssertionError("it has no README.md")
    runs = 0
    for kind in ("offline", "model"):
        model = Model(check.get("model", [])) if kind == "model" else None
        try:
            for wanted in check["runs"]:
                if kind not in wanted:
                    continue
                with tempfile.TemporaryDirectory(prefix="kapelle-use-") as temporary:
                    place = pathlib.Path(temporary) / folder.name
                    shutil.copytree(folder, place)
                    mail = Mail() if "mail" in wanted else None
                    if mail:
                        mail.configure(place / "workers/mailer.yaml")
                    said = run(place, wanted, model.environment if model else {})
                faults = differences(wanted[kind], said.get("outputs", said.get("error")))
                if mail:
                    mail.end()
                    faults += [f"{len(mail.taken)} mails instead of {len(wanted['mail'])}"] * (len(mail.taken) != len(wanted["mail"]))
                    faults += [fault for one in zip(wanted["mail"], mail.taken) for fault in differences(*one, "mail")]
                if model and model.unknown:
                    faults.append(f"the double has no answer with the fields {model.unknown[0]}")
                if faults:
                    raise AssertionError(f"{kind}, {' '.join(wanted.get('arguments', []))}: " + "; ".join(faults))
                runs += 1
        finally:
            if model:
                model.end()
    return runs


def main() -> int:
    folders = sorted(path.parent for path in USES.glob("*/workflow.yaml"))
    names = sys.argv[1:] or [folder.name for folder in folders]
    unknown = set(names) - {folder.name for folder in folders}
    if unknown:
        print(f"there is no use {', '.join(sorted(unknown))}: see samples/uses", file=sys.stderr)
        return 2
    failed = 0
    for folder in folders:
        if folder.name not in names:
            continue
        begun = time.monotonic()
        try:
            runs = use(folder)
        except (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            failed += 1
            print(f"  FAILED {folder.name}: {error}", file=sys.stderr)
            continue
        print(f"  {folder.name:<22} {runs} runs {time.monotonic() - begun:6.2f} s")
    print(f"{len(names)} sample uses, {failed} failed")
    return 1 if failed or len(folders) < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
