#!/usr/bin/env python3
"""A platform engineer installs the server, gives access to a team, and meets kill -9, a full disk and a second server."""

import contextlib
import hashlib
import os
import re
import subprocess
import tarfile

from story import KAPELLE, ROOT, Project, Server, Story, until


ROLES = ["admin", "operator", "developer", "viewer", "worker", "metrics"]
PROBES = {
    "see tasks": [("GET", path, None) for path in (
        "/api/v1/tasks", "/api/v1/runs", "/api/v1/workers", "/api/v1/queues", "/api/v1/cost?by=day", "/api/v1/budgets")],
    "submit and cancel": [("POST", "/api/v1/tasks", {"worker": "log", "input": {"message": "hi"}}),
                          ("POST", "/api/v1/tasks/task_999/cancel", {}), ("POST", "/api/v1/runs/run_999/pause", {}),
                          ("POST", "/api/v1/runs/run_999/signals/go", {}), ("POST", "/api/v1/runs/run_999/rerun", {})],
    "upload files": [("POST", "/api/v1/artifacts?name=a.txt", "text"), ("POST", "/api/v1/workflows/none/rollback", {"number": 1})],
    "call models": [("GET", "/v1/models", None)],
    "answer approvals": [("POST", "/api/v1/approvals/task_999/approve", {})],
    "retry and discard": [("POST", "/api/v1/tasks/task_999/retry", {}), ("POST", "/api/v1/dead/task_999/discard", {}),
                          ("POST", "/workers/restart-all", {}), ("POST", "/api/v1/workers/log/resume", {})],
    "delete versions": [("DELETE", "/api/v1/workflows/none/1", None), ("DELETE", "/api/v1/workers/none", None)],
    "pause and resume queues": [("POST", "/api/v1/queues/default/resume", {})],
    "make and revoke keys": [("GET", "/api/v1/keys", None), ("GET", "/api/v1/audit", None), ("POST", "/api/v1/budgets", {
        "account": "worker:none", "limit_nanousd": 1})],
    "read `/metrics`": [("GET", "/metrics", None)],
    "claim tasks": [("POST", "/api/v1/hosts/host_9_0000000000000000/claim", {"max_tasks": 1, "wait_ms": 0})],
}
"""Requests for each row of the table of roles. A request that is allowed may still be about something that is not there."""


def roles(page: str) -> dict[str, list[bool]]:
    """The table of roles: for each row of `PROBES`, what each role may. A right that only an option of a key gives is not
    the role's."""
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        action = next((action for action in PROBES if cells[0].startswith(action)), None)
        if action and len(cells) == len(ROLES) + 1:
            rows[action] = [cell == "yes" for cell in cells[1:]]
    assert set(rows) == set(PROBES), set(PROBES) - set(rows)
    return rows


def main() -> None:
    story = Story("a platform engineer")
    root = story.folder("root")
    project = Project(story.folder("service"))
    outside = Project(story.folder("build"))
    make = {"KAPELLE": KAPELLE, "PREFIX": "/usr", "DESTDIR": str(root)}

    with story.step("`make install` puts program, manual pages and completions below the prefix"):
        outside.command(str(ROOT / "dev/install.sh"), **make)
        for name in ("bin/kapelle", "share/man/man1/kapelle.1", "share/man/man1/kapelle-serve.1",
                     "share/bash-completion/completions/kapelle", "share/zsh/site-functions/_kapelle",
                     "share/fish/vendor_completions.d/kapelle.fish", "share/doc/kapelle/LICENSE"):
            assert (root / "usr" / name).stat().st_size > 100, name
        installed = outside.command(str(root / "usr/bin/kapelle"), "--version").out
        assert installed == outside.run("--version").out, installed
        unit = (root / "usr/lib/systemd/system/kapelle.service").read_text()
        assert "\nExecStart=/usr/bin/kapelle serve" in unit, unit
    with story.step("... and removes them"):
        outside.command(str(ROOT / "dev/install.sh"), "--remove", **make)
        left = [path for path in (root / "usr").rglob("*") if path.is_file()]
        assert not left, left
    with story.step("a release archive has them, too, and its checksum is right"):
        packages = story.place / "packages"
        outside.command(str(ROOT / "dev/dist.sh"), KAPELLE=KAPELLE, PACKAGES=str(packages))
        sums, name = (packages / "SHA256SUMS").read_text().split()
        assert hashlib.sha256((packages / name).read_bytes()).hexdigest() == sums
        archive = tarfile.open(packages / name)
        files = {one.name.split("/", 1)[1]: one for one in archive.getmembers() if "/" in one.name}
        unit = files["lib/systemd/system/kapelle.service"]
        assert {"bin/kapelle", "LICENSE", "README.md", "share/man/man1/kapelle.1"} <= set(files), set(files)
        assert b"\nExecStart=/usr/local/bin/kapelle serve" in archive.extractfile(unit).read(), "the unit names no program"
        assert {(one.uid, one.gid) for one in files.values()} == {(0, 0)}, "owners of this machine are in the archive"
        # As the guide says: copying it is the installation.
        archive.extractall(story.folder("unpacked"), filter="data")
        copied = next((story.place / "unpacked").iterdir()) / "bin/kapelle"
        assert outside.command(str(copied), "--version").out == installed

    with story.step("the server starts, is ready, and needs a key"):
        server = story.keep(Server(project))
        assert server.ask("GET", "/readyz", token="")[0] == 200
        assert server.ask("GET", "/api/v1/tasks", token="")[0] == 401
    with story.step("the token is in a file that only its owner reads"):
        assert (project.folder / ".kapelle/token").stat().st_mode & 0o777 == 0o600
        assert (project.folder / ".kapelle").stat().st_mode & 0o777 == 0o700
    with story.step("a key of another tenant sees nothing of the first"):
        secret = key(project, "blue", "--role", "developer", "--tenant", "2")
        task = server.ask("POST", "/api/v1/tasks?wait_ms=20000", {"worker": "keywords", "input": {"text": "light and air"}})[1]
        assert task["state"] == "succeeded", task
        assert server.ask("GET", "/api/v1/tasks/" + task["id"], token=secret)[0] == 404
    with story.step("roles hold: a viewer does not submit, a developer does not make keys"):
        viewer = key(project, "viewer", "--role", "viewer")
        server.ask("POST", "/api/v1/tasks", {"worker": "keywords", "input": {"text": "later"}, "delay_ms": 3_600_000})
        assert server.ask("POST", "/api/v1/tasks", {"worker": "keywords"}, token=viewer)[0] == 403
        assert server.ask("GET", "/api/v1/keys", token=secret)[0] == 403
    with story.step("the table of roles in the guide is what the server does"):
        table = roles((ROOT / "docs/guides/teams.md").read_text("utf-8"))
        secrets = {role: key(project, f"table-{role}", "--role", role) for role in ROLES}
        for action, row in table.items():
            for method, path, body in PROBES[action]:
                for role, may in zip(ROLES, row):
                    status, said = server.ask(method, path, body, token=secrets[role])
                    refused = status in (401, 403)
                    assert refused != may, f"{action}: {role}: {method} {path} was answered with {status} {said}"
    with story.step("a key that only reads metrics does nothing else"):
        scraper = key(project, "prometheus", "--role", "metrics")
        assert server.ask("GET", "/metrics", token=scraper)[0] == 200
        assert server.ask("GET", "/api/v1/tasks", token=scraper)[0] == 403
    with story.step("metrics are read with a viewer's key"):
        status, metrics = server.ask("GET", "/metrics", token=viewer)
        assert status == 200 and "kapelle_" in metrics and "# TYPE kapelle_" in metrics
    with story.step("every metric that the guide on monitoring names is there"):
        guide = (ROOT / "docs/guides/monitoring.md").read_text("utf-8")
        named = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"\bkapelle_[a-z_]+", guide)}
        missing = {name for name in named if not re.search(rf"^# TYPE {name}(_total)? ", metrics, re.M)}
        assert named and not missing, missing
    with story.step("a second server on the folder, and a taken port, are refused with the process that is in the way"):
        project.run("serve", "--listen", "127.0.0.1:0", code=5).has(str(server.process.pid))
        other = Project(story.folder("other"))
        other.run("serve", "--listen", server.address, code=None).has(str(server.process.pid), "taken")
    with story.step("listening for other machines needs --insecure"):
        other.run("serve", "--listen", "0.0.0.0:0", code=None).has("--insecure")
    with story.step("a wrong configuration is refused with file, line and field"):
        (other.folder / "kapelle.yaml").write_text("queus: { default: { slots: 2 } }\n")
        other.run("serve", "--listen", "127.0.0.1:0", code=2).has("kapelle.yaml:1:1", "queus", "queues")
        other.run("config", "check", code=2).has("kapelle.yaml:1:1", "queus", "queues")
    with story.step("kill -9 loses no acknowledged task"):
        project.run("queues", "pause", "default")
        ids = server.ask("POST", "/api/v1/tasks/batch",
                         {"tasks": [{"worker": "keywords", "input": {"text": f"light {n}"}} for n in range(50)]})[1]["ids"]
        server.kill()
        server = story.keep(Server(project))
        project.run("queues", "resume", "default")
        until(lambda: all(server.get("/api/v1/tasks/" + one)["state"] == "succeeded" for one in ids), "all 50 succeeded")
    if os.geteuid() == 0:
        full_disk(story)
    else:
        print("SKIPPED the step with a full disk: it mounts a small one, which needs root")
    with story.step("a backup of the working server is restored elsewhere, with its tasks"):
        project.run("backup", str(story.place / "backup"))
        restored = Project(story.folder("restored"))
        restored.run("restore", str(story.place / "backup"))
        restored.run("tasks", "--state", "succeeded").has("keywords")
        restored.run("doctor").has("quick_check passed")
        restored.run("restore", str(story.place / "backup"), code=None).has("restored")
    with story.step("the folder's token is replaced, and the old one is refused"):
        old = project.token
        project.run("keys", "rotate-token")
        assert project.token != old
        assert server.ask("GET", "/api/v1/tasks", token=old)[0] == 401
        assert server.ask("GET", "/api/v1/tasks")[0] == 200
    with story.step("a changed configuration says what waits for a restart"):
        (project.folder / "kapelle.yaml").write_text("queues: { default: { slots: 3 } }\nbudgets: { day: $5 }\n")
        server.prints("only after a restart: queues")
        project.run("budgets").has("$5.00")
    with story.step("a log has times and levels, and no token"):
        assert re.search(r"^\d{4}-\d\d-\d\d\S* +(INFO|info)", server.output, re.M), server.output
        assert "kap_" not in server.output
    with story.step("the acts are in the audit trail, and it is verified"):
        project.run("audit").has("key.create", "queue.pause")
        project.run("audit", "verify")
    with story.step("a graceful stop ends with 0 or 143 and is in the session log"):
        assert server.stop() in (0, 143)
        assert '"server_stopped"' in (project.folder / ".kapelle/session.log").read_text()
    story.finish()


def full_disk(story: Story) -> None:
    """A server whose state is on a disk of 16 MiB."""
    disk = story.folder("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    story.undo(lambda: subprocess.run(["umount", "-l", str(disk)], check=False))
    project = Project(story.folder("on-disk"), KAPELLE_DATA=str(disk / "state"))
    server = story.keep(Server(project))
    token = (disk / "state/token").read_text().strip()
    task = {"worker": "log", "input": {"message": "x" * 200_000}, "delay_ms": 3_600_000}
    with story.step("a full disk: new work is refused with 507, reads go on, and the verb ends with 75"):
        with open(disk / "ballast", "wb") as ballast:
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(65_536))
                    ballast.flush()
        status, said = until(lambda: (got := server.ask("POST", "/api/v1/tasks", task, token=token))[0] != 201 and got, "a refusal")
        assert status == 507 and said["code"] == "storage_full", (status, said)
        assert server.ask("GET", "/api/v1/tasks?limit=1", token=token)[0] == 200
        until(lambda: server.ask("GET", "/readyz", token="")[0] == 503, "not ready")
        project.run("submit", "log", "--input", "message=" + "x" * 100_000, code=75)
    with story.step("... and it goes on by itself once there is room"):
        (disk / "ballast").unlink()
        until(lambda: server.ask("POST", "/api/v1/tasks", task, token=token)[0] == 201, "room again")
        until(lambda: server.ask("GET", "/readyz", token="")[0] == 200, "ready again")
    server.stop()


def key(project: Project, name: str, *options: str) -> str:
    said = project.run("keys", "create", name, *options, "--json")
    found = re.search(r"kap_\w+", said.out)
    assert found, said.out
    return found[0]


if __name__ == "__main__":
    main()
