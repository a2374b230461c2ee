#!/usr/bin/env python3
"""Times the first five minutes of a new user. Needs only the built binary and Python; `KAPELLE` names the binary.
Exits with 1 when a step fails or takes too long.

Scripts as workers and the cost of a run are not covered."""
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

    def __init__(self, folder):
        self.process = subprocess.Popen([KAPELLE, "serve", "--listen", "127.0.0.1:0"], cwd=folder, env=ENVIRONMENT,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("listening=")
        self.token = (folder / ".kapelle/token").read_text().strip()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text}")
        return text if "json" not in answer.headers["content-type"] else json.loads(text)

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
WORKER = "kind: prompt\nname: mine\ndescription: My own\noffline: keywords\nprompt: 'Keywords of {{ text }}'\n"


def main():
    place = pathlib.Path(tempfile.mkdtemp(prefix="kapelle-five-minutes-"))
    server = None
    try:
        with step("help is shown", 1):
            run("--help", folder=place)
        with step("a sample document is analysed, from nothing to a report", 60):
            for name in ("workflows", "samples"):
                shutil.copytree(HERE / name, place / name)
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
        with step("the doctor finds nothing wrong", 5):
            run("doctor", folder=place)
        table()
        print(f"{'all of it':<40}{sum(took for _, took, *_ in rows):.2f} s")
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(place, ignore_errors=True)


main()
