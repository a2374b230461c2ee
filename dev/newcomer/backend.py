#!/usr/bin/env python3
"""A backend developer with the habits of Celery and BullMQ. The SDKs are installed as a stranger would: pip from the
folder, npm from a packed archive."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from story import ROOT, Project, Running, Server, Story, until

HOST = """\
from kapelle import Context, Host, TaskError

host = Host(slots=4, name="mailer")


@host.worker("email", input={"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}})
def email(ctx: Context, input: dict) -> dict:
    ctx.progress(0.5, "writing")
    return {"sent": input["to"]}


@host.worker("closed", retry=2)
def closed(ctx: Context, input: None) -> None:
    raise TaskError("the shop is closed", category="unavailable")


@host.worker("letters")
def letters(ctx: Context, input: dict) -> list:
    tasks = [ctx.client.tasks.submit("email", {"to": to}, idempotency_key=f"{ctx.task_id}/{to}") for to in input["to"]]
    return [task.result()["sent"] for task in ctx.client.tasks.wait_all(tasks, timeout=20)]


print("at work", flush=True)
host.run()
"""
CLIENT = """\
import json, sys
from kapelle import Client, NewTask

client = Client()
out = {}
task = client.tasks.submit("email", {"to": "ada@example.org"}, retry=3)
out["result"] = client.tasks.wait(task, timeout=20).result()
out["worker"] = task.worker
first = client.tasks.submit("email", {"to": "bob@example.org"}, idempotency_key="order-1")
out["same"] = client.tasks.submit("email", {"to": "bob@example.org"}, idempotency_key="order-1").id == first.id
for name, call in {
    "reused": lambda: client.tasks.submit("email", {"to": "eve@example.org"}, idempotency_key="order-1"),
    "typo": lambda: client.tasks.submit("emial", {"to": "ada@example.org"}),
    "input": lambda: client.tasks.submit("email", {"to": 5}),
    "celery": lambda: client.tasks.submit("email", {"to": "ada@example.org"}, countdown=10),
}.items():
    try:
        call()
        out[name] = "accepted"
    except Exception as error:
        out[name] = f"{type(error).__name__}: {error}"
out["children"] = client.tasks.wait(client.tasks.submit("letters", {"to": ["a", "b", "c"]}), timeout=30).result()
many = client.tasks.submit_batch([NewTask("email", {"to": str(n)}) for n in range(20)])
out["many"] = len(client.tasks.wait_all(many, timeout=30))
lost = client.tasks.wait(client.tasks.submit("closed"), timeout=30)
out["lost"] = [lost.state, lost.attempt]
out["dead"] = [task.id == lost.id for task in client.dead.list()]
print(json.dumps(out))
"""
NODE = """\
import { Client, Host } from "kapelle";

const host = new Host({ slots: 4, log: () => {} });
host.worker("resize", async (ctx, input) => ({ url: `${input.file}-small` }));
const running = host.run();
await host.ready;
const client = new Client();
const out = {};
const task = await client.tasks.submit("resize", { file: "a.png" }, { idempotencyKey: "a" });
out.result = (await client.tasks.wait(task)).result();
const refused = (options) => client.tasks.submit("resize", { file: "b.png" }, options).then(() => "accepted", (error) => error.message);
out.bullmq = await refused({ jobId: "a" });
out.attempts = await refused({ attempts: 5 });
out.python = (await client.tasks.wait(await client.tasks.submit("email", { to: "node" }))).result();
console.log(JSON.stringify(out));
host.stop();
await running;
"""
WORKFLOW = """\
name: newsletter
inputs: { type: object, required: [to], properties: { to: { type: array, items: { type: string } } } }
steps:
  send:
    for_each: ${{ inputs.to }}
    worker: email
    with: { to: "${{ item }}" }
outputs: { sent: "${{ steps.send.output }}" }
"""


def main() -> None:
    story = Story("a backend developer")
    folder = story.folder("app")
    project = Project(folder)
    outside = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def outer(*command: str, cwd: pathlib.Path) -> str:
        done = subprocess.run(command, cwd=cwd, env=outside, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    with story.step("pip installs the SDK from the folder into a new environment"):
        outer(sys.executable, "-m", "venv", str(folder / "env"), cwd=folder)
        # A copy, so that the build leaves nothing in the repository.
        shutil.copytree(ROOT / "sdk/python", story.place / "sdk-python", ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        outer(str(folder / "env/bin/pip"), "install", "--quiet", str(story.place / "sdk-python"), cwd=folder)
    with story.step("npm packs the SDK, and installs the archive into another project"):
        source = story.place / "sdk-typescript"
        shutil.copytree(ROOT / "sdk/typescript", source, ignore=shutil.ignore_patterns("node_modules", "dist"))
        outer("npm", "ci", "--silent", "--no-audit", "--no-fund", cwd=source)
        outer("npm", "run", "build", "--silent", cwd=source)
        packed = outer("npm", "pack", "--silent", cwd=source).strip().splitlines()[-1]
        outer("npm", "init", "-y", cwd=folder)
        outer("npm", "install", "--silent", "--no-audit", "--no-fund", str(source / packed), cwd=folder)

    python = str(folder / "env/bin/python")
    project.write({"host.py": HOST, "client.py": CLIENT, "node.mjs": NODE, "workflows/newsletter.yaml": WORKFLOW})
    with story.step("the server starts on nothing"):
        server = story.keep(Server(project))
    with story.step("a task for a worker that nobody registered is refused"):
        project.run("submit", "email", "--input", "to=ada", code=None).has("email")
    with story.step("a host in Python registers its workers"):
        host = story.keep(Running(project, python, "host.py"))
        until(lambda: "email" in [one["name"] for one in server.get("/api/v1/workers")["workers"]], "worker email is known")
    with story.step("the command line has it in its one list, and knows it in a workflow"):
        project.run("workers").has("email", "letters")
        project.run("workers", "show", "email").has("email")
        project.run("workflows", "validate", "workflows/newsletter.yaml")
    with story.step("submit, wait, idempotency, refusals with the right word, children, batches, dead letters"):
        out = project.command(python, "client.py").json
        assert out["result"] == {"sent": "ada@example.org"} and out["worker"] == "email", out
        assert out["same"] is True and out["reused"].startswith("IdempotencyKeyReused"), out
        assert out["typo"].startswith("UnknownWorker") and "`email`" in out["typo"], out["typo"]
        assert out["input"].startswith("InvalidInput"), out["input"]
        assert "countdown" in out["celery"] and "delay" in out["celery"], out["celery"]
        assert out["children"] == ["a", "b", "c"] and out["many"] == 20, out
        assert out["lost"] == ["failed", 2] and out["dead"] == [True], out
    with story.step("a host in Node beside it; BullMQ's words are answered with the right ones"):
        out = json.loads(project.command("node", "node.mjs").out.strip().splitlines()[-1])
        assert out["result"] == {"url": "a.png-small"} and out["python"] == {"sent": "node"}, out
        assert "idempotencyKey" in out["bullmq"] and "retry" in out["attempts"], out
    with story.step("fan-out as a workflow of five lines over the SDK's worker"):
        said = project.run("run", "newsletter", "--input", 'to=["a","b"]', "--json", timeout=30)
        assert '"sent":' in said.out.replace(" ", ""), said.out
    with story.step("why does it wait: nobody has the label"):
        status, task = server.ask("POST", "/api/v1/tasks", {"worker": "email", "input": {"to": "gpu"}, "requires": ["gpu"]})
        assert status == 201, task
        reason = until(lambda: server.get("/api/v1/tasks/" + task["id"])["reason"], "a reason")
        assert "gpu" in reason, reason
        project.run("why", task["id"]).has("gpu")
    with story.step("a paused queue says so, and goes on"):
        project.run("queues", "pause", "default")
        _, held = server.ask("POST", "/api/v1/tasks", {"worker": "email", "input": {"to": "later"}})
        until(lambda: "paused" in (server.get("/api/v1/tasks/" + held["id"])["reason"] or ""), "the pause is the reason")
        project.run("queues", "resume", "default")
        until(lambda: server.get("/api/v1/tasks/" + held["id"])["state"] == "succeeded", "the task after the pause")
    with story.step("kill -9 of the server: the host registers again, nothing is lost"):
        server.kill()
        server = story.keep(Server(project, "--listen", server.address))
        out = project.command(python, "-c", 'from kapelle import Client; c = Client(retry_for=20); '
                              'print(c.tasks.wait(c.tasks.submit("email", {"to": "again"}), timeout=20).result()["sent"])')
        out.has("again")
    with story.step("the host is gone: its worker stays known, and its tasks wait with a reason"):
        host.stop()
        status, task = server.ask("POST", "/api/v1/tasks", {"worker": "email", "input": {"to": "nobody"}})
        assert status == 201, task
        until(lambda: "not served" in (server.get("/api/v1/tasks/" + task["id"])["reason"] or ""), "nobody serves it")
    with story.step("it stops gracefully"):
        assert server.stop() in (0, 143)
    with story.step("with the server down, a task for the host's worker is recorded, and `status` says that nobody works"):
        project.run("submit", "email", "--input", "to=down").has("task_")
        project.run("status").has("no server")
    story.finish()


if __name__ == "__main__":
    main()
