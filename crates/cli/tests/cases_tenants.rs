//! A tenant beside the owner of the folder, on the real binary: what it sees of the project, and what it can do with
//! it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use kapelle::serde_json::{self, Value, json};
use kapelle_testkit::children;

/// A project with a server over it, which ends with it.
struct Served {
    folder: tempfile::TempDir,
    child: Child,
    host: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the process under test is started here")]
fn kapelle(folder: &tempfile::TempDir, arguments: &[&str]) -> Command {
    children::limit(children::AGE_MOST);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kapelle"));
    command.args(arguments).current_dir(folder.path()).env_remove("KAPELLE_TOKEN").env("HOME", folder.path());
    command
}

impl Served {
    /// Makes it with the files of a case as workers.
    fn with(files: &[&str]) -> Served {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("workers")).unwrap();
        let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/014");
        for file in files {
            let to = folder.path().join("workers").join(file);
            fs::copy(cases.join(file), &to).unwrap();
            fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(folder.path().join("kapelle.yaml"), "{}\n").unwrap();
        let mut command = kapelle(&folder, &["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening=").unwrap().to_owned();
        let host = address.trim_start_matches("http://").to_owned();
        Served { folder, child, host }
    }

    fn token(&self) -> String {
        fs::read_to_string(self.folder.path().join(".kapelle/token")).unwrap().trim().to_owned()
    }

    /// Returns the status and the JSON of an answer.
    fn ask(&self, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.host,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    /// Makes a key by the verb. Returns its secret.
    fn key(&self, arguments: &[&str]) -> String {
        let made = kapelle(&self.folder, &["keys", "create"]).args(arguments).output().unwrap();
        assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }
}

#[test]
fn what_the_folder_holds_does_not_exist_for_another_tenant() {
    let served = Served::with(&["probe.py", "opened.py", "broken.py", "own.yaml"]);
    let owner = served.token();
    let second = served.key(&["second", "--role", "admin", "--tenant", "2"]);
    let input = json!({ "paths": ["."] });
    let (status, done) =
        served.ask(&owner, "POST", "/api/v1/tasks?wait_ms=60000", &json!({ "worker": "probe", "input": input }));
    assert_eq!((status, &done["state"]), (201, &json!("succeeded")), "{done}");
    let listed = served.ask(&second, "GET", "/api/v1/workers", &Value::Null).1.to_string();
    for name in ["probe", "own"] {
        assert!(!listed.contains(&format!("\"name\":\"{name}\"")), "{listed}");
        let task = json!({ "worker": name, "input": input });
        let flow = json!({ "source": format!("name: f\nsteps:\n  a: {{ worker: {name} }}\n") });
        for (method, path, body, code) in [
            ("POST", "/api/v1/tasks", task.clone(), 422),
            ("POST", "/api/v1/tasks/batch", json!({ "tasks": [task] }), 422),
            ("POST", "/api/v1/runs", flow, 422),
            ("GET", &*format!("/api/v1/workers/{name}"), Value::Null, 404),
        ] {
            let (status, answer) = served.ask(&second, method, path, &body);
            assert_eq!(status, code, "{path}: {answer}");
            assert!(!answer.to_string().contains(&*served.folder.path().to_string_lossy()), "{answer}");
        }
    }
    assert_eq!(served.ask(&second, "GET", "/api/v1/scripts", &Value::Null).1["scripts"], json!([]));
    // Workers that the owner opened work, and their failures name no path of the host.
    let task = json!({ "worker": "opened", "input": input });
    let (_, done) = served.ask(&second, "POST", "/api/v1/tasks?wait_ms=60000", &task);
    assert_eq!(done["state"], "succeeded", "{done}");
    let task = json!({ "worker": "opened", "input": { "paths": ["/no/such/path"] }, "retry": { "max_attempts": 1 } });
    let (_, done) = served.ask(&second, "POST", "/api/v1/tasks?wait_ms=60000", &task);
    assert_eq!(done["state"], "failed", "{done}");
    assert!(!done["error"].to_string().contains('/'), "{done}");
    let (status, waits) = served.ask(&second, "POST", "/api/v1/tasks", &json!({ "worker": "broken" }));
    assert_eq!(status, 201, "{waits}");
    let path = format!("/api/v1/tasks/{}", waits["id"].as_str().unwrap());
    let reason = served.ask(&second, "GET", &path, &Value::Null).1["reason"].to_string();
    assert!(reason.contains("broken") && !reason.contains('/'), "{reason}");
}

#[test]
fn keys_are_made_with_what_they_are_kept_to() {
    let served = Served::with(&[]);
    let worker = served.key(&["gpu", "--role", "worker", "--workers", "embed,sleep", "--queues", "gpu"]);
    for (workers, status) in [(json!(["embed", "sleep"]), 201), (json!(["summarizer"]), 403)] {
        let body = json!({ "workers": workers });
        assert_eq!(served.ask(&worker, "POST", "/api/v1/hosts", &body).0, status);
    }
    assert_eq!(served.ask(&worker, "GET", "/v1/models", &Value::Null).0, 403);
    let asks = served.key(&["asks", "--role", "worker", "--limit", "$1"]);
    assert_eq!(served.ask(&asks, "GET", "/v1/models", &Value::Null).0, 200);
    let cfo = served.key(&["cfo", "--role", "viewer", "--approve"]);
    let developer = served.key(&["dev", "--role", "developer"]);
    let source = "name: pay\nsteps:\n  ask: { wait: { approval: 'Pay?', approvers: [cfo] } }\n";
    served.ask(&developer, "POST", "/api/v1/runs", &json!({ "source": source }));
    let step = served.ask(&cfo, "GET", "/api/v1/approvals", &Value::Null).1["approvals"][0]["id"].clone();
    let path = format!("/api/v1/approvals/{}/approve", step.as_str().unwrap());
    let refused = kapelle(&served.folder, &["approvals", "approve", step.as_str().unwrap()]).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("cfo"), "{why}");
    assert_eq!(served.ask(&developer, "POST", &path, &json!({ "by": "cfo" })).0, 403);
    assert_eq!(served.ask(&cfo, "POST", &path, &json!({ "by": "the CFO" })).0, 200);
}
