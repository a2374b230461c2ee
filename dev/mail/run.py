#!/usr/bin/env python3
"""Sends mail by `email_dispatcher` of the real program through a real SMTP server: TLS, logins, refusals and kills.

The server is aiosmtpd, which is installed into a virtual environment beside the build. The program is killed at random
moments while it sends; no mail may arrive twice, and none that was reported as sent may be missing.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KAPELLE = os.path.abspath(os.environ.get("KAPELLE", ROOT / "target/release/kapelle"))
KIT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "mail"
ROUNDS = int(os.environ.get("KAPELLE_MAIL_ROUNDS", "25"))
SEED = int(os.environ.get("KAPELLE_MAIL_SEED", "1"))
LIMIT = 60
PASSWORD = "canary-of-the-mail-server"

WORKFLOW = """
name: mails
inputs: { type: object, properties: { round: { type: integer, default: 0 } } }
steps:
  send:
    for_each: [1, 2, 3, 4, 5, 6]
    on_item_error: collect
    worker: mailer
    with: { to: ada@example.com, subject: "round ${{ inputs.round }} mail ${{ item }}", text: hello, key: "${{ inputs.round }}/${{ item }}" }
outputs: { sent: "${{ steps.send.output }}" }
"""


def install() -> pathlib.Path:
    """Returns the Python that has the server."""
    python = KIT / "python/bin/python"
    if not python.exists() or subprocess.run([python, "-c", "import aiosmtpd"], capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "venv", KIT / "python"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "aiosmtpd==1.4.6"], check=True)
    return python


def certificate(folder: pathlib.Path, name: str) -> None:
    """Makes a certificate for localhost that no authority signed."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"], check=True, capture_output=True)


class Server:
    """The mail server in a process of its own, which writes each mail to a file."""

    def __init__(self, python: pathlib.Path, place: pathlib.Path) -> None:
        self.mails = place / "mails.jsonl"
        self.mails.touch()
        self._process = subprocess.Popen(
            [python, ROOT / "dev/mail/server.py", place / "server.pem", place / "server.key", self.mails, PASSWORD],
            stdout=subprocess.PIPE, stderr=(place / "server.log").open("w"), text=True)
        assert self._process.stdout is not None
        self.starttls, self.tls = json.loads(self._process.stdout.readline())

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.mails.read_text().splitlines()]

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=LIMIT)


class Project:
    """A folder with one worker."""

    def __init__(self, folder: pathlib.Path, port: int, more: str) -> None:
        self.folder = folder
        (folder / "workers").mkdir(parents=True)
        (folder / "kapelle.yaml").write_text("secrets: { mail: { env: MAIL_PASSWORD } }\n")
        (folder / "mails.yaml").write_text(WORKFLOW)
        (folder / "workers/mailer.yaml").write_text(
            "kind: email_dispatcher\nname: mailer\nretry: { max_attempts: 3, delay: 10ms }\nsettings:\n"
            f"  host: localhost\n  port: {port}\n  from: kapelle@example.com\n  recipients: ['*@example.com']\n  timeout: 5s\n{more}")
        known = {key: value for key, value in os.environ.items() if not key.startswith("KAPELLE_")}
        self.environment = {**known, "NO_COLOR": "1", "KAPELLE_DATA": str(folder / ".kapelle"), "MAIL_PASSWORD": PASSWORD}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([KAPELLE, *arguments], cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out + err


def expect(held: bool, what: str) -> None:
    if not held:
        raise AssertionError(what)


def settings(server: Server, place: pathlib.Path) -> int:
    """Sends by each encryption, and expects a clear refusal of each wrong setting."""
    login = "  username: robot\n  password: ${secret:mail}\n"
    cases = [
        ("starttls", server.starttls, f"  ca: ../server.pem\n{login}", None),
        ("tls", server.tls, f"  tls: tls\n  ca: ../server.pem\n{login}", None),
        ("unknown authority", server.starttls, login, "tls: localhost"),
        ("other authority", server.tls, f"  tls: tls\n  ca: ../other.pem\n{login}", "tls: localhost"),
        ("missing authority", server.starttls, f"  ca: gone.pem\n{login}", "ca: "),
        ("wrong login", server.starttls, "  ca: ../server.pem\n  username: thief\n  password: ${secret:mail}\n", "refuses the login"),
        ("no login", server.starttls, "  ca: ../server.pem\n", "refuses"),
        ("TLS at a port without it", server.starttls, f"  tls: tls\n  ca: ../server.pem\n{login}", "tls: localhost"),
        ("nobody listens", 1, "  ca: ../server.pem\n", "host: localhost:1 cannot be reached"),
    ]
    for number, (name, port, more, refusal) in enumerate(cases):
        project = Project(place / f"settings-{number}", port, more)
        before = len(server.taken())
        code, said = project.run("workers", "test", "mailer", "--input", '{"to":"ada@example.com","subject":"Grüße","text":"hello"}')
        expect(PASSWORD not in said, f"{name}: the password is shown")
        expect((code == 0) == (refusal is None), f"{name}: exit code {code}: {said}")
        expect(refusal is None or refusal in said, f"{name}: `{refusal}` is not in {said}")
        expect(len(server.taken()) - before == (1 if refusal is None else 0), f"{name}: {len(server.taken()) - before} mails")
    return len(cases)


def kills(server: Server, place: pathlib.Path) -> tuple[int, int, int]:
    """Kills the program while it sends, and counts mails by subject."""
    project = Project(place / "kills", server.starttls, "  ca: ../server.pem\n  username: robot\n  password: ${secret:mail}\n")
    chance = random.Random(SEED)
    begun = time.monotonic()
    project.run("run", "mails.yaml", "--input", "round=-1")
    whole = time.monotonic() - begun
    before, sent, unknown = len(server.taken()), 0, 0
    for number in range(ROUNDS):
        process = project.start("run", "mails.yaml", "--json", "--input", f"round={number}")
        time.sleep(chance.uniform(0.2, 1.0) * whole)
        process.kill()
        process.communicate()
        project.run("resume")
    code, said = project.run("tasks", "list", "--steps", "--worker", "mailer", "--json", "--limit", "1000")
    expect(code == 0, said)
    listed = json.loads(said)["tasks"]
    expect(len(listed) >= ROUNDS, f"{len(listed)} tasks of mails")
    reported: dict[str, str] = {}
    for task in listed:
        code, told = project.run("tasks", "show", task["id"], "--json")
        told = json.loads(told)
        reported[told["input"]["subject"]] = told["state"]
        unknown += told["state"] == "failed"
        expect(told["state"] in ("succeeded", "failed"), f"{told['input']['subject']} is {told['state']}")
        expect(told["state"] == "succeeded" or "unknown, so it is not sent again" in told["error"]["message"], json.dumps(told))
    subjects = [mail["subject"] for mail in server.taken()[before:]]
    expect(len(subjects) == len(set(subjects)), f"sent twice: {sorted(s for s in subjects if subjects.count(s) > 1)}")
    missing = [s for s, state in reported.items() if state == "succeeded" and not s.startswith("round -1") and s not in subjects]
    expect(not missing, f"reported and not sent: {missing}")
    sent = len(subjects)
    return ROUNDS, sent, unknown


def main() -> int:
    python = install()
    with tempfile.TemporaryDirectory(prefix="kapelle-mail-") as folder:
        place = pathlib.Path(folder)
        certificate(place, "server")
        certificate(place, "other")
        server = Server(python, place)
        try:
            print(f"  {settings(server, place)} settings, each sends one mail or says what to correct")
            rounds, sent, unknown = kills(server, place)
            print(f"  {rounds} kills (seed {SEED}): {sent} mails, none twice; {unknown} of unknown outcome were not repeated")
        finally:
            server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
