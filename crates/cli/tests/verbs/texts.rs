//! `runs watch` shows what models write while they write it.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::money::Stage;

const ASKS: &str = "kind: prompt\nname: asks\nmodel: fast\nprompt: '{{ text }}'\n";
const FLOW: &str = "name: flow\nsteps: { one: { worker: asks, with: { text: hi } } }\n";

#[test]
fn a_watched_run_shows_lines_as_they_are_written_and_pieces_as_json() {
    // The answer stops in its second line, so that nothing has ended while it is looked at.
    let stage = Stage::new("[{ reply: \"line one\\nline \\u001b[31mtwo and more\", events_hang: 6 }]");
    stage.place.file("workers/asks.yaml", ASKS);
    let served = stage.serve();
    stage.post(&served.client, "/api/v1/runs", json!({ "source": FLOW }));
    let watch = |arguments: &[&str], found: &dyn Fn(&str) -> bool| {
        let mut child = stage.place.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| found(line)).expect("it ended");
        (child, lines, line)
    };
    let (mut child, _, piece) = watch(&["--json", "runs", "watch", "run_1"], &|line| line.contains("\"text\":"));
    let piece: Value = serde_json::from_str(&piece).unwrap();
    assert_eq!(
        (&piece["event"], &piece["step"], &piece["offset"], &piece["part"]),
        (&json!("text"), &json!("one"), &json!(0), &json!(1))
    );
    assert!(piece["text"].as_str().unwrap().starts_with("line"), "{piece}");
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, lines, line) = watch(&["runs", "watch", "run_1"], &|line| line.contains('|'));
    assert_eq!(line, "one | line one");
    stage.post(&served.client, "/api/v1/runs/run_1/cancel", json!({}));
    // What was held back for the end of its line stands before the end of the run, and commands no terminal.
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let held = rest.iter().position(|line| line.starts_with("one | line ")).expect("it is lost");
    assert!(held < rest.iter().position(|line| line.contains("run_1 cancelled")).unwrap(), "{rest:?}");
    assert!(!rest.concat().contains('\u{1b}'), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
