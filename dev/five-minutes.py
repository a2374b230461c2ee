#!/usr/bin/env python3
"""Times the first five minutes of a new user. Needs only the built binary and Python; `KAPELLE` names the binary.
Exits with 1 when a step fails or takes too long.

The provider of models is a double in this process. Pages for people are tested by dev/browser."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "dev/newcomer"))

from story import Provider  # noqa: E402

KAPELLE = os.path.abspath(os.environ.get("KAPELLE", HERE / "target/release/kapelle"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in
               ("OPENAI_API_KEY", "OPENAI_BASE_URL", "KAPELLE_DATA", "KAPELLE_TOKEN")}
rows = []


@contextlib.contextmanager
def step(name, most):
    """Times the block, which may take at most the given number of seconds."""
    begun = time.monotonic()
    try:
        yield
        problem = None
    except Exception as error:  # whatever it was, the table says so
        problem = error
    took = time.monotonic() - begun
    if problem is None and took > most:
        problem = f"took longer than {most} s"
    rows.append((name, took, most, problem))
    if problem is not None:
        table()
        sys.exit(1)


def table():
    width = max(len(name) for name, *_ in rows)
    for name, took, most, problem in rows:
        print(f"{name:<{width}}  {took:8.2f} s  (at most {most} s)" + (f"  FAILED: {problem}" if problem else ""))


def run(*arguments, folder):
    done = subprocess.run([KAPELLE, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Server:
    """The server of a folder."""

    def __init__(self, folder, **environment):
        self.process = subprocess.Popen([KAPELLE, "serve", "--listen", "127.0.0.1:0"], cwd=folder, env={**ENVIRONMENT, **environment},
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("listening=")
        self.token = (folder / ".kapelle/token").read_text().strip()

    def ask(self, method, path, body=None, token=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Authorization": "Bearer " + (self.token if token is None else token), "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text}")
        return text if "json" not in answer.headers["content-type"] else json.loads(text)

    def refuses(self, method, path, status, token):
        try:
            self.ask(method, path, token=token)
        except RuntimeError as error:
            assert f": {status} " in str(error), error
            return True
        return False

    def script(self, name):
        return next((one for one in self.ask("GET", "/api/v1/scripts")["scripts"] if one["name"] == name), None)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def until(seen, what):
    end = time.monotonic() + 30
    while True:
        found = seen()
        if found:
            return found
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not seen")
        time.sleep(0.02)


SLOW = "name: slow\nsteps:\n" + "".join(
    f"  s{n}: {{ {'needs: [s%d], ' % (n - 1) if n else ''}worker: sleep, with: {{ ms: 50 }} }}\n" for n in range(40))
MODEL = "kind: prompt\nname: priced\nmodel: fast\nprompt: 'Say {{ text }}'\n"
FOO = """\
# ---
# start: true
# ---
import time
print("foo is at work", flush=True)
time.sleep(600)
"""
# Three calls, one after the other; the second is held until the server was killed.
CALLS = """\
# ---
# mode: task
# ---
import json, os, sys, urllib.request

def ask(text):
    body = {"model": "fast", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(opener.open(request))["choices"][0]["message"]["content"]

json.load(sys.stdin)
print(json.dumps([ask(text) for text in ("one", "two", "three")]))
"""
WORKER = "kind: prompt\nname: mine\ndescription: My own\noffline: keywords\nprompt: 'Keywords of {{ text }}'\n"


def main():
    place = pathlib.Path(tempfile.mkdtemp(prefix="kapelle-five-minutes-"))
    server = None
    try:
        with step("help is shown", 1):
            run("--help", folder=place)
        with step("a sample document is analysed, from nothing to a report", 60):
            for name in ("workflows", "samples", "workers"):
                shutil.copytree(HERE / name, place / name, ignore=shutil.ignore_patterns("node_modules", ".venv"))
            run("run", "workflows/complete-analysis.yaml", "--input", "document=@samples/annual-report.pdf", "--out", "out",
                folder=place)
            assert any(path.stat().st_size > 200 for path in (place / "out").rglob("*") if path.is_file()), "no report"
        with step("the server is ready on what is there already", 2):
            server = Server(place)
            assert server.ask("GET", "/readyz")["status"] == "ok"
            assert server.ask("GET", "/api/v1/runs")["runs"][0]["state"] == "succeeded", "the earlier run is not there"
        with step("the page of the interface, and metrics", 1):
            assert "<h1>" in server.ask("GET", "/docs")
            assert "kapelle_" in server.ask("GET", "/metrics")
        with step("there is no default password", 1):
            assert server.refuses("GET", "/api/v1/tasks", 401, ""), "it answered without a key"
            assert server.refuses("GET", "/api/v1/tasks", 401, "admin"), "it took a guessed key"
        with step("the samples in JavaScript and Python are found", 2):
            found = {one["name"]: one["file"] for one in server.ask("GET", "/api/v1/scripts")["scripts"]}
            assert {"memorySync", "clearTemp", "text_digest", "word_counter"} <= set(found), found
        with step("a first task is submitted and answered", 1):
            task = server.ask("POST", "/api/v1/tasks?wait_ms=20000",
                              {"worker": "keywords", "input": {"text": "The reading room needs light."}})
            assert task["state"] == "succeeded", task
        with step("a new worker file can be called", 2):
            (place / "workers").mkdir(exist_ok=True)
            (place / "workers/mine.yaml").write_text(WORKER)
            until(lambda: any(worker["name"] == "mine" for worker in server.ask("GET", "/api/v1/workers")["workers"]),
                  "the worker")
        with step("... and answers", 2):
            task = server.ask("POST", "/api/v1/tasks?wait_ms=20000", {"worker": "mine", "input": {"text": "light and air"}})
            assert task["state"] == "succeeded", task
        with step("a new script is found and started", 2):
            (place / "workers/foo.py").write_text(FOO)
            until(lambda: (server.script("foo") or {"state": ""})["state"] == "running", "the script")
        with step("... has a log", 2):
            log = f"/api/v1/scripts/{server.script('foo')['id']}/logs"
            until(lambda: any("foo is at work" in line["text"] for line in server.ask("GET", log)["lines"]), "its log")
        with step("... and is restarted on request", 3):
            first = server.script("foo")["processes"][0].get("pid")
            server.ask("POST", f"/api/v1/scripts/{server.script('foo')['id']}/restart", {})
            until(lambda: server.script("foo")["processes"][0].get("pid") not in (None, first), "another process")
        with step("a queue that nobody serves says so", 1):
            server.ask("POST", "/api/v1/hosts", {"workers": [{"name": "far", "queue": "ml"}], "queues": ["other"]})
            task = server.ask("POST", "/api/v1/tasks", {"worker": "far"})
            reason = server.ask("GET", "/api/v1/tasks/" + task["id"])["reason"]
            assert "0 workers listen on queue" in reason, reason
        with step("killed in the middle of a run, the server comes back", 2):
            started = server.ask("POST", "/api/v1/runs", {"source": SLOW})
            path = "/api/v1/runs/" + started["id"]
            until(lambda: sum(one["state"] == "succeeded" for one in server.ask("GET", path + "/steps")["steps"]) >= 5,
                  "the fifth step")
            server.kill()
            server = Server(place)
        with step("... and the run ends as if nothing had been", 5):
            done = server.ask("GET", path + "?wait_ms=60000")
            assert done["state"] == "succeeded", done
        provider = Provider()
        environment = {"OPENAI_API_KEY": provider.KEY, "OPENAI_BASE_URL": provider.url}
        with step("with a key: tokens and money of the first answer are shown", 3):
            server.kill()
            (place / "workers/priced.yaml").write_text(MODEL)
            server = Server(place, **environment)
            task = server.ask("POST", "/api/v1/tasks?wait_ms=20000", {"worker": "priced", "input": {"text": "hello"}})
            counted = [task[name] for name in ("calls", "input_tokens", "output_tokens", "cost_nanousd")]
            assert counted == [1, 10, 5, 3500], counted
        with step("a cap is enforced, and says so", 3):
            server.ask("POST", "/api/v1/budgets", {"account": "day", "limit_nanousd": 3_600})
            task = server.ask("POST", "/api/v1/tasks", {"worker": "priced", "input": {"text": "too much"}})
            parked = until(lambda: (found := server.ask("GET", "/api/v1/tasks/" + task["id"]))["state"] == "parked" and found, "parked")
            assert "money" in parked["reason"] and provider.calls == 1, parked
            server.ask("POST", "/api/v1/budgets", {"account": "day", "limit_nanousd": 1_000_000_000})
            server.ask("GET", f"/api/v1/tasks/{task['id']}?wait_ms=20000")
        with step("server and script are killed between two calls of a model", 5):
            (place / "workers/calls.py").write_text(CALLS)
            until(lambda: (server.script("calls") or {"state": ""})["state"] == "idle", "the script")
            before, provider.hold = provider.calls, "two"
            task = server.ask("POST", "/api/v1/tasks", {"worker": "calls", "input": {}})
            until(lambda: provider.calls == before + 2, "the second call")
            server.kill()
            provider.hold = None
            server = Server(place, **environment)
        with step("... and the task ends: what was answered is replayed and not paid again", 10):
            done = server.ask("GET", f"/api/v1/tasks/{task['id']}?wait_ms=60000")
            assert done["state"] == "succeeded" and len(done["output"]) == 3, done
            # Three calls, and the one in flight at the kill, which is made again and charged as unknown.
            assert provider.calls == before + 4, provider.calls - before
        with step("the doctor finds nothing wrong", 5):
            run("doctor", folder=place)
        table()
        print(f"{'all of it':<40}{sum(took for _, took, *_ in rows):.2f} s")
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(place, ignore_errors=True)


main()
