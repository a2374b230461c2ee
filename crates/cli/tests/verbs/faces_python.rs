//! The Python SDK beside the command line: one answer and one refusal.

use std::path::Path;

use serde_json::Value;

use crate::{
    place::{PLAIN, Place, TEXT},
    serve::Served,
};

/// Asks everything that the rows below compare, and prints a line of JSON for each.
const PROGRAM: &str = r#"
import json, sys
from kapelle import Client
from kapelle.errors import Problem

client = Client(sys.argv[1], sys.argv[2])
asked = {
    "tasks": lambda: [task.raw for task in client.tasks.list(steps=True, limit=20)],
    "runs": lambda: [run.raw for run in client.runs.list(limit=20)],
    "dead": lambda: [task.raw for task in client.dead.list(limit=20)],
    "queues": lambda: list(client.queues.list()),
    "approvals": lambda: list(client.approvals.list()),
    "no task": lambda: client.tasks.get("task_99"),
    "no run": lambda: client.runs.get("run_99"),
    "an end that has come": lambda: client.tasks.cancel("task_1"),
    "a run that has ended": lambda: client.runs.cancel("run_1"),
    "no dead letter": lambda: client.dead.retry("task_1"),
    "no question": lambda: client.approvals.approve("task_1", by="ada"),
    "no worker": lambda: client.tasks.submit("keyword", {"text": "a"}),
    "no text": lambda: client.tasks.submit("keywords", {}),
    "no queue": lambda: client.queues.pause("a b"),
}
for name, ask in asked.items():
    try:
        print(json.dumps([name, {"answer": ask()}], default=str))
    except Problem as problem:
        print(json.dumps([name, {"detail": problem.detail}]))
"#;

/// Names of the lines, the verb that asks for the equal thing, and the list in its answer; a refusal has none.
const EQUAL: &[(&str, &[&str], Option<&str>)] = &[
    ("tasks", &["tasks", "list", "--steps"], Some("tasks")),
    ("runs", &["runs"], Some("runs")),
    ("dead", &["dead"], Some("tasks")),
    ("queues", &["queues"], Some("queues")),
    ("approvals", &["approvals"], Some("approvals")),
    ("no task", &["tasks", "show", "task_99"], None),
    ("no run", &["runs", "show", "run_99"], None),
    ("an end that has come", &["tasks", "cancel", "task_1"], None),
    ("a run that has ended", &["runs", "cancel", "run_1"], None),
    ("no dead letter", &["dead", "retry", "task_1"], None),
    ("no question", &["approvals", "approve", "task_1", "--by", "ada"], None),
    ("no worker", &["submit", "keyword", "--input", "text=a"], None),
    ("no text", &["submit", "keywords"], None),
    ("no queue", &["queues", "pause", "a b"], None),
];

#[test]
fn the_python_sdk_gives_the_answers_and_refusals_of_the_command_line() {
    let place = Place::new();
    if !place.has("python3") {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "python3 is needed");
        return;
    }
    place.file("plain.yaml", PLAIN);
    assert_eq!(place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]).code, 0);
    place
        .kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"])
        .refused(69, &[]);
    let served = Served::start(&place);
    let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
    let program = place.file("asks.py", PROGRAM);
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/python/src");
    let url = format!("http://{}", served.address);
    let arguments = [
        "-c",
        "import os, sys, runpy; sys.path.insert(0, sys.argv.pop(1)); sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')",
        sdk.to_str().unwrap(),
        program.to_str().unwrap(),
        &url,
        token.trim(),
    ];
    let said = place.run("python3", &arguments);
    let lines: Vec<(String, Value)> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), EQUAL.len(), "{said}");
    for ((name, got), (wanted, arguments, list)) in lines.iter().zip(EQUAL) {
        assert_eq!(name, wanted);
        let verb = place.kapelle(&[*arguments, &["--json"]].concat());
        match list {
            Some(list) => assert_eq!(got["answer"], verb.json()[*list], "{name}: {arguments:?}"),
            None => assert_eq!(got["detail"], verb.json()["error"]["message"], "{name}: {arguments:?}"),
        }
    }
}
