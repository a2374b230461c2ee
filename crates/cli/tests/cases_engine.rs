//! Faults found in use, of runs, attempts, keys and numbers, each with its variants, through the real binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Duration,
};

use kapelle_api::Client;
use place::{Place, watched};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::timeout};

#[path = "verbs/place.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod place;

/// Time limit for everything, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server over a folder.
struct Stage {
    place: Place,
    child: Child,
    client: Client,
    runtime: Runtime,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(place: &Place) -> (Child, Client) {
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _watched = watched(&child);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let base = format!("http://{}", line.trim().strip_prefix("listening=").unwrap());
    let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
    (child, Client::new(&base, token.trim()).unwrap())
}

impl Stage {
    fn new(files: &[(&str, &str)]) -> Stage {
        let place = Place::new();
        for (name, text) in files {
            let path = place.file(name, text);
            #[cfg(unix)]
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (child, client) = serve(&place);
        Stage { place, child, client, runtime }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.runtime.block_on(async { timeout(PATIENCE, self.client.post(path, body)).await.unwrap() });
        answer.map_err(|error| error.to_string())
    }

    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(async { timeout(PATIENCE, self.client.get(path)).await.unwrap().unwrap() })
    }

    /// Returns a task that has ended.
    fn task(&self, body: &Value) -> Value {
        let made = self.post("/api/v1/tasks", body).unwrap();
        self.get(&format!("/api/v1/tasks/{}?wait_ms=60000", made["id"].as_str().unwrap()))
    }

    /// Returns a run that has ended.
    fn run(&self, source: &str) -> Value {
        let made = self.post("/api/v1/runs", &json!({ "source": source })).unwrap();
        self.get(&format!("/api/v1/runs/{}?wait_ms=60000", made["id"].as_str().unwrap()))
    }
}

fn fixture(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_run_whose_outputs_cannot_be_evaluated_fails_and_says_which() {
    let place = Place::new();
    for case in ["001/wf.yaml", "002/wf.yaml"] {
        let file = place.file("wf.yaml", fixture(case));
        let mut child = place.command(&["run", "wf.yaml"]).stderr(Stdio::piped()).spawn().unwrap();
        let _watched = watched(&child);
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{}: {said}", file.display());
        assert!(said.contains("`outputs` cannot be evaluated: `outputs.v`"), "{said}");
    }
    let stage = Stage::new(&[]);
    let step = "steps: { a: { worker: log, with: { message: x } } }";
    let tails = "on_error: { steps: { e: { worker: log, with: { message: e } } } }\nfinally: { steps: { f: { worker: log, with: { message: f } } } }";
    for (more, outputs) in [
        ("", "{ v: \"${{ steps.a.output.nope }}\" }"),
        ("timeout: 2s\n", "{ v: \"${{ 1/0 }}\" }"),
        (tails, "{ v: \"${{ 1/0 }}\" }"),
        ("", "{ v: \"text ${{ [1] }}\" }"),
        ("", "{ deep: { list: [1, \"${{ steps.a.output.nope }}\"] } }"),
        ("", "{ v: \"${{ 5 | length }}\" }"),
    ] {
        let run = stage.run(&format!("name: n\n{more}\n{step}\noutputs: {outputs}\n"));
        assert_eq!(run["state"], "failed", "{outputs:.80}: {run}");
        let message = run["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("`outputs` cannot be evaluated: `outputs."), "{message}");
        assert_eq!(run["error"]["category"], "invalid_input", "{run}");
    }
}

#[test]
fn a_crash_counts_as_an_attempt() {
    let exit = fixture("004/exit3.py");
    let stage = Stage::new(&[
        ("workers/exit3.py", &exit),
        ("workers/killed", "#!/bin/sh\n# ---\n# mode: task\n# ---\nkill -SEGV $$\n"),
        (
            "workers/pooled.py",
            "# ---\n# mode: pool\n# ---\nimport json, os, sys\nprint(json.dumps({'workers': []}), flush=True)\nsys.stdin.readline()\nos._exit(7)\n",
        ),
    ]);
    let plain = json!({ "delay_ms": 1, "jitter": "none" });
    let with = |more: Value| {
        let mut retry = plain.clone();
        retry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        retry
    };
    for worker in ["exit3", "killed", "pooled"] {
        for (retry, attempts) in [
            (json!({ "max_attempts": 1 }), 1),
            (json!({ "on": [] }), 1),
            (json!({ "on": ["timeout"] }), 1),
            (json!({ "max_attempts": 2 }), 2),
            (json!({ "max_attempts": 5, "on": ["crashed", "internal"] }), 5),
        ] {
            // A pool's process restarts after seconds; one case shows that its crashes count like others.
            if worker == "pooled" && retry.get("max_attempts") != Some(&json!(1)) {
                continue;
            }
            let task = stage.task(&json!({ "worker": worker, "retry": with(retry.clone()) }));
            assert_eq!(
                (&task["state"], &task["attempt"]),
                (&json!("failed"), &json!(attempts)),
                "{worker} {retry} {task}"
            );
            // A script that ends with an exit code has failed; one that a signal ends has crashed.
            let category = if worker == "exit3" { "internal" } else { "crashed" };
            assert_eq!(task["error"]["category"], category, "{task}");
        }
    }
}

#[test]
fn a_key_is_any_text() {
    let stage = Stage::new(&[]);
    for key in ["42", "a@b.example", "tenant/7", "0190c8a2-7b1e-7cc0-98c4-dc0c0c07398f", "é ß", "'; --"] {
        let task = stage.task(&json!({ "worker": "log", "input": { "message": "x" }, "key": key }));
        assert_eq!(task["state"], "succeeded", "{key}: {task}");
        let said = stage.place.kapelle(&["submit", "log", "--group", key, "--input", "message=x", "--wait"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    for key in ["", "a\0b", &"x".repeat(201)] {
        let refused = stage.post("/api/v1/tasks", &json!({ "worker": "log", "input": { "message": "x" }, "key": key }));
        assert!(refused.unwrap_err().contains("key"), "{key:?}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let echo = "#!/bin/sh\n# ---\n# mode: task\n# ---\ncat\n";
    let flow = "name: through\ninputs: { type: object }\nsteps: { a: { worker: echo, with: { n: \"${{ inputs }}\" } } }\noutputs: { n: \"${{ steps.a.output.n }}\", text: \"is ${{ inputs.id }}\" }\n";
    let stage = Stage::new(&[("workers/echo", echo), ("workflows/through.yaml", flow)]);
    let given: Value = serde_json::from_str(&fixture("012/task.json")).unwrap();
    let more = r#"{"id":12345678901234567890123,"u":18446744073709551616,"f":0.1000000000000000055511151231257827,"e":1e+400,"z":-0,"n":[-9223372036854775809,1E5]}"#;
    for input in [given["input"].clone(), serde_json::from_str(more).unwrap()] {
        let task = stage.task(&json!({ "worker": "echo", "input": input }));
        assert_eq!(task["output"].to_string(), input.to_string(), "{task}");
        let made = stage.post("/api/v1/runs", &json!({ "workflow": "through", "inputs": input })).unwrap();
        let run = stage.get(&format!("/api/v1/runs/{}?wait_ms=60000", made["id"].as_str().unwrap()));
        for name in ["id", "u", "f", "e"] {
            assert_eq!(run["outputs"]["n"][name].to_string(), input[name].to_string(), "{run}");
        }
        assert_eq!(run["outputs"]["text"], format!("is {}", input["id"]), "{run}");
        let said = stage.place.kapelle(&["runs", "show", made["id"].as_str().unwrap(), "--json"]);
        assert!(said.out.contains("12345678901234567890123"), "{said:?}");
    }
}

#[test]
fn a_schema_that_costs_too_much_is_refused_at_once() {
    let stage = Stage::new(&[]);
    let fan = |levels: usize| {
        let next = |at: usize| json!({ "allOf": vec![json!({ "$ref": format!("#/$defs/d{}", at + 1) }); 4] });
        let mut defs: serde_json::Map<String, Value> = (0..levels).map(|at| (format!("d{at}"), next(at))).collect();
        defs.insert(format!("d{levels}"), json!({ "type": "string" }));
        json!({ "type": "object", "$defs": defs, "properties": { "t": { "$ref": "#/$defs/d0" } } })
    };
    let register = json!({ "workers": [{ "name": "bomb", "input": fan(12) }] });
    let refused = stage.post("/api/v1/hosts", &register).unwrap_err();
    assert!(refused.contains("looks at subschemas"), "{refused}");
    for levels in [9, 10, 13] {
        let source = json!({ "name": "bomb", "inputs": fan(levels), "steps": { "a": { "worker": "log", "with": { "message": "x" } } } });
        let body = json!({ "source": source.to_string(), "inputs": { "t": 1 } });
        let refused = stage.post("/api/v1/runs", &body).unwrap_err();
        assert!(refused.contains("inputs"), "{refused}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.child.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 300 << 10, "{peak} KiB at most were used");
}
