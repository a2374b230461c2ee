//! `runs watch` shows model output while it is written.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use kapelle_api::Client;
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::timeout};

use crate::place::Place;

const ASKS: &str = "kind: prompt\nname: asks\nmodel: fast\nprompt: '{{ text }}'\n";
const FLOW: &str = "name: flow\nsteps: { one: { worker: asks, with: { text: hi } } }\n";

/// A server that is ended with the test.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(place: &Place, base_url: &str) -> (Served, Client) {
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OPENAI_API_KEY", "sk-good").env("OPENAI_BASE_URL", base_url);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let base = format!("http://{}", line.trim().strip_prefix("listening=").unwrap());
    let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
    (Served(child), Client::new(&base, token.trim()).unwrap())
}

fn post(runtime: &Runtime, client: &Client, path: &str, body: &Value) {
    let asked = async { timeout(Duration::from_secs(60), client.post::<Value>(path, body)).await };
    runtime.block_on(asked).unwrap().unwrap();
}

#[test]
fn a_watched_run_shows_lines_as_they_are_written_and_pieces_as_json() {
    // The answer stops in its second line, so that nothing has ended while it is checked.
    let script = "rules: [{ reply: \"line one\\nline \\u001b[31mtwo and more\", events_hang: 6 }]";
    let runtime = Runtime::new().unwrap();
    let double = runtime.block_on(ScriptedOpenai::start(Script::from_yaml(script).unwrap())).unwrap();
    let place = Place::new();
    place.file("workers/asks.yaml", ASKS);
    let (_served, client) = serve(&place, &double.base_url());
    post(&runtime, &client, "/api/v1/runs", &json!({ "source": FLOW }));
    let watch = |arguments: &[&str], found: &dyn Fn(&str) -> bool| {
        let mut child = place.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
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
    post(&runtime, &client, "/api/v1/runs/run_1/cancel", &json!({}));
    // Text that was held back for the end of its line comes before the end of the run, without control characters.
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let held = rest.iter().position(|line| line.starts_with("one | line ")).expect("it is lost");
    assert!(held < rest.iter().position(|line| line.contains("run_1 cancelled")).unwrap(), "{rest:?}");
    assert!(!rest.concat().contains('\u{1b}'), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
