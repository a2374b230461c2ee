#!/usr/bin/env python3
"""An ML engineer brings three scripts that use `openai`, unchanged: a loop, one that reads standard input, one for the
night. They are supervised, metered and capped, against a double of a provider."""

import os
import pathlib

from story import KAPELLE, ROOT, Project, Provider, Running, Server, Story, until

PYTHON = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "official-sdks/python/bin/python"

WATCH = """\
import pathlib, time
from openai import OpenAI

client = OpenAI()
inbox = pathlib.Path("inbox")
inbox.mkdir(exist_ok=True)
while True:
    for letter in sorted(inbox.glob("*.txt")):
        question = [{"role": "user", "content": "Sum up: " + letter.read_text()}]
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=question, max_tokens=50)
        letter.with_suffix(".done").write_text(answer.choices[0].message.content)
        letter.unlink()
    time.sleep(0.05)
"""
EXTRACT = """\
import json, sys
from openai import OpenAI

task = json.load(sys.stdin)
question = [{"role": "user", "content": "Names in: " + task["text"]}]
answer = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=question, max_tokens=50)
print(json.dumps({"names": answer.choices[0].message.content}))
"""
NIGHTLY = """\
import asyncio
from openai import AsyncOpenAI

async def main():
    client = AsyncOpenAI()
    asks = [client.chat.completions.create(model="gpt-4o-mini", max_tokens=50, messages=[{"role": "user", "content": f"Part {n}"}])
            for n in range(5)]
    print(len(await asyncio.gather(*asks)), "parts")

asyncio.run(main())
"""
KEYED = "from openai import OpenAI\nclient = OpenAI(api_key='sk-of-my-own')\n"
HARDCODED = "from openai import OpenAI\nclient = OpenAI(base_url='https://api.openai.com/v1')\n"


def main() -> None:
    story = Story("OpenAI scripts")
    provider = story.keep(Provider())
    folder = story.folder("scripts")
    project = Project(folder, OPENAI_API_KEY=provider.KEY, OPENAI_BASE_URL=provider.url)

    with story.step("a folder without scripts says so, or starts without one"):
        project.run("workers").lacks("watch_inbox")
    project.write({
        "workers/watch_inbox.py": WATCH,
        "workers/extract.py": EXTRACT, "workers/extract.worker.yaml": "mode: task\n",
        "workers/nightly.py": NIGHTLY, "workers/nightly.worker.yaml": 'schedule: "0 3 * * *"\n',
        "kapelle.yaml": "budgets: { day: $1, workers: { nightly: $0.50 } }\n",
    })
    (folder / "workers/.venv").symlink_to(PYTHON.parent.parent)

    with story.step("the server finds them and starts the loop"):
        server = story.keep(Server(project))
        until(lambda: "running" in line(project, "watch_inbox"), "watch_inbox runs")
        assert "idle" in line(project, "extract"), line(project, "extract")
    with story.step("a budget for a worker that does not exist is warned of, with the near name"):
        settings = (folder / "kapelle.yaml").read_text()
        (folder / "kapelle.yaml").write_text(settings.replace("nightly:", "nightlyy:"))
        project.run("config", "check", code=None).has("nightlyy", "`nightly`")
        server.prints("no worker or script is called `nightlyy`")
        project.run("budgets", "set", "worker:extrct", "1").has("did you mean `extract`?")
        project.run("budgets", "reset", "worker:extrct")
        (folder / "kapelle.yaml").write_text(settings)
    with story.step("the start says how many scripts there are"):
        server.prints("workers/: ")
    with story.step("the loop works through its inbox"):
        drop(folder, "a", "The reading room closes early.")
        until(lambda: (folder / "workers/inbox/a.done").exists(), "the letter is done")
    with story.step("the script with standard input answers a task"):
        said = project.run("submit", "extract", "--input", "text=Ada met Bob.", "--wait")
        said.has("Names in: Ada met Bob.")
    with story.step("every call is counted: 10 tokens in and 5 out cost $0.0000045"):
        project.run("cost").has("watch_inbox", "extract", "$0.0000045")
        assert provider.calls == 2, provider.calls
    with story.step("the provider saw its own key, the scripts never did"):
        assert provider.keys == {provider.KEY}, provider.keys
        pids = [one for one in os.listdir("/proc") if one.isdigit()]
        scripts = [pid for pid in pids if b"watch_inbox.py" in read(f"/proc/{pid}/cmdline")]
        assert scripts and all(provider.KEY.encode() not in read(f"/proc/{pid}/environ") for pid in scripts)
    with story.step("the task in JSON has its cost"):
        _, task = server.ask("GET", "/api/v1/tasks/task_1")
        assert (task["cost_nanousd"], task["calls"]) == (4500, 1), task
        assert project.run("tasks", "show", "task_1", "--json").json["cost_nanousd"] == 4500

    with story.step("the daily cap: a call that does not fit parks its task, and the reason names money"):
        project.run("budgets", "set", "day", "0.00001")
        project.run("submit", "extract", "--input", "text=after the cap")
        task = until(lambda: in_state(server, "task_2", "parked"), "task_2 is parked")
        assert "money" in task["reason"] or "budget" in task["reason"] or "needs" in task["reason"], task["reason"]
        project.run("why", "task_2").has("budgets raise day")
    with story.step("the loop meets the cap as well: it is parked, and not given up"):
        drop(folder, "b", "This one does not fit.")
        until(lambda: "parked" in line(project, "watch_inbox"), "watch_inbox is parked")
        assert provider.calls == 2, "a call was sent beyond the cap"
    with story.step("a raised budget lets both go on by themselves"):
        project.run("budgets", "raise", "day", "1")
        until(lambda: in_state(server, "task_2", "succeeded"), "task_2 goes on")
        until(lambda: (folder / "workers/inbox/b.done").exists(), "the letter beyond the cap is done")
    with story.step("a key written into a script, and a daemon that reads standard input, are reported"):
        project.write({"workers/keyed.py": KEYED, "workers/reads.py": EXTRACT})
        until(lambda: "mode: task" in project.run("workers").all, "standard input is reported")
        project.run("workers").has("keyed.py", "reads.py")
    with story.step("a script that names the provider itself is reported, with its line"):
        project.write({"workers/sneaky.py": HARDCODED})
        until(lambda: "api.openai.com" in project.run("workers").all, "the hard-coded address is reported")
        project.run("workers").has("sneaky.py")
    with story.step("kill -9 of the server: the scripts end with it, and are back with the next one"):
        server.kill()
        server = story.keep(Server(project))
        until(lambda: "running" in line(project, "watch_inbox"), "watch_inbox runs again")
        drop(folder, "c", "After the crash.")
        until(lambda: (folder / "workers/inbox/c.done").exists(), "the letter after the crash is done")
    with story.step("the totals agree, however they are grouped"):
        totals = {by: total(server, by) for by in ("worker", "provider", "model", "day")}
        assert len(set(totals.values())) == 1 and totals["day"] > 0, totals
    with story.step("it stops gracefully"):
        assert server.stop() in (0, 143)
    with story.step("`supervise` alone meters and caps the same scripts, by a gateway of its own"):
        alone = story.keep(Running(project, KAPELLE, "supervise", "workers"))
        alone.prints("gateway: http://127.0.0.1:")
        before = spent(project)
        drop(folder, "d", "Without `serve`.")
        until(lambda: (folder / "workers/inbox/d.done").exists(), "the letter is done")
        assert spent(project) > before
        project.run("supervise", "workers", code=5).has("already supervises")
        assert alone.stop() in (0, 143)
    with story.step("without a key it names each script that asks models"):
        alone = story.keep(Running(project, KAPELLE, "supervise", "workers", OPENAI_API_KEY=""))
        alone.prints("script watch_inbox.py asks models")
        assert alone.stop() in (0, 143)
    story.finish()


def drop(folder: pathlib.Path, name: str, text: str) -> None:
    half = folder / "workers/inbox" / (name + ".half")
    half.parent.mkdir(exist_ok=True)
    half.write_text(text)
    half.rename(half.with_suffix(".txt"))


def line(project: Project, worker: str) -> str:
    """The row of a script, which is below that of its worker."""
    rows = [row for row in project.run("workers").out.splitlines() if row.split()[:1] == [worker]]
    return rows[-1] if rows else ""


def in_state(server: Server, task: str, state: str):
    found = server.get("/api/v1/tasks/" + task)
    return found if found["state"] == state else None


def total(server: Server, by: str) -> int:
    return sum(row["cost_nanousd"] for row in server.get(f"/api/v1/cost?by={by}")["rows"])


def spent(project: Project) -> int:
    """What the folder spent today, as the command line tells."""
    return project.run("cost", "--by", "day", "--json").json["total"]["cost_nanousd"]


def read(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
