//! One use case has one answer, one error and one JSON shape through every face. The faces are the command line without
//! a server, with the server of the folder and with a named server, and HTTP.

use kapelle_api::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    place::{PLAIN, Place, Said, TEXT},
    serve::Served,
};

/// Fields that pass with time, or tell who works on the folder.
const DIFFERENT: [&str; 14] = [
    "uptime_ms",
    "listeners",
    "warnings",
    "state_of_worker",
    "here",
    "active",
    "link",
    "succeeded",
    "failed",
    "failure_rate",
    "mean_ms",
    "last_run",
    "last_success",
    "last_error",
];

/// Reading verbs, and the path of the equal request over HTTP, if there is one.
const READS: &[(&[&str], Option<&str>)] = &[
    (&["tasks", "list", "--steps"], Some("/api/v1/tasks?steps=true&limit=20")),
    (&["tasks", "--state", "failed", "--limit", "5"], Some("/api/v1/tasks?state=failed&limit=5")),
    (&["tasks", "list", "--steps", "--before", "task_2"], Some("/api/v1/tasks?steps=true&before=task_2&limit=20")),
    (&["tasks", "show", "task_1"], Some("/api/v1/tasks/task_1?details=true")),
    (&["tasks", "show", "task_3"], Some("/api/v1/tasks/task_3?details=true")),
    (&["dead", "show", "task_3"], Some("/api/v1/tasks/task_3?details=true")),
    (&["status", "task_1"], Some("/api/v1/tasks/task_1?details=true")),
    (&["why", "task_1"], Some("/api/v1/tasks/task_1/explain")),
    (&["why", "task_3"], Some("/api/v1/tasks/task_3/explain")),
    (&["why", "run_1"], None),
    (&["runs", "explain", "run_1", "words"], None),
    (&["runs"], Some("/api/v1/runs?limit=20")),
    (&["runs", "list", "--open"], Some("/api/v1/runs?open=true&limit=20")),
    (&["runs", "list", "--workflow", "plain"], Some("/api/v1/runs?workflow=plain&limit=20")),
    (&["runs", "show", "run_1"], None),
    (&["runs", "graph", "run_1", "--format", "svg"], None),
    (&["logs", "task_3"], None),
    (&["dead"], Some("/api/v1/dead?limit=20")),
    (&["dead", "list", "--worker", "log"], Some("/api/v1/dead?worker=log&limit=20")),
    (&["queues"], Some("/api/v1/queues")),
    (&["approvals"], Some("/api/v1/approvals")),
    (&["workers"], Some("/api/v1/workers/status")),
    (&["workers", "show", "keywords"], None),
    (&["workers", "show", "mine"], None),
    (&["budgets"], Some("/api/v1/budgets")),
    (&["cost"], Some("/api/v1/cost?by=worker&limit=50")),
    (&["cost", "--by", "day"], Some("/api/v1/cost?by=day&limit=50")),
    (
        &["cost", "--worker", "mine", "--run", "run_1", "--model", "m"],
        Some("/api/v1/cost?by=worker&worker=mine&run=run_1&model=m&limit=50"),
    ),
    (
        &["cost", "--by", "worker,day", "--from", "2020-01-01"],
        Some("/api/v1/cost?by=worker,day&from=2020-01-01T00:00:00Z&limit=50"),
    ),
    (
        &["cost", "--per", "month", "--from", "2020-01-01", "--to", "2020-03-01"],
        Some("/api/v1/cost?per=month&from=2020-01-01T00:00:00Z&to=2020-03-01T00:00:00Z&limit=50"),
    ),
    (&["calls"], Some("/api/v1/calls?limit=20")),
    (
        &["calls", "--run", "run_1", "--from", "2020-01-01"],
        Some("/api/v1/calls?run=run_1&since=2020-01-01T00:00:00Z&limit=20"),
    ),
    (&["providers"], Some("/api/v1/providers")),
    (&["search", "plain"], Some("/api/v1/search?q=plain&limit=20")),
    (&["dead", "groups"], Some("/api/v1/dead/groups")),
    (&["keys"], Some("/api/v1/keys")),
    (&["audit"], None),
    (&["audit", "list", "--tenant", "2"], None),
    (&["audit", "list", "--all"], None),
    (&["workflows", "versions", "plain"], Some("/api/v1/workflows/plain?limit=1000")),
    (&["workflows", "source", "plain"], Some("/api/v1/workflows/plain/1")),
    (&["workflows", "source", "plain", "1"], Some("/api/v1/workflows/plain/1")),
];

/// Refused verbs.
const REFUSED: &[(&[&str], i32)] = &[
    (&["tasks", "show", "task_99"], 3),
    (&["tasks", "show", "nonsense"], 2),
    (&["tasks", "list", "--queue", "a b"], 2),
    (&["tasks", "cancel", "task_1"], 5),
    (&["tasks", "cancel", "task_99"], 3),
    (&["tasks", "retry", "task_1"], 5),
    (&["why", "task_99"], 3),
    (&["why", "run_99"], 3),
    (&["runs", "show", "run_99"], 3),
    (&["runs", "explain", "run_1", "wrods"], 3),
    (&["runs", "cancel", "run_1"], 5),
    (&["runs", "pause", "run_1"], 5),
    (&["runs", "signal", "run_1", "go"], 5),
    (&["runs", "rerun", "run_1", "--from", "sad"], 2),
    (&["logs", "task_99"], 3),
    (&["dead", "retry", "task_1"], 5),
    (&["dead", "discard", "task_99"], 3),
    (&["approvals", "approve", "task_1", "--by", "ada"], 2),
    (&["queues", "pause", "a b"], 2),
    (&["workers", "show", "nobody"], 3),
    (&["workers", "pause", "keyword"], 3),
    (&["submit", "keyword", "--input", "text=a"], 3),
    (&["submit", "long"], 3),
    (&["submit", "keywords"], 2),
    (&["submit", "keywords", "--input", "text=a", "--queue", "a b"], 2),
    (&["submit", "log", "--input", "message=b", "--idempotency-key", "once"], 5),
    (&["budgets", "set", "provider:openai", "5"], 2),
    (&["budgets", "raise", "tenant", "5"], 3),
    (&["keys", "create", "a", "--role", "king"], 2),
    (&["keys", "create", " ", "--role", "viewer"], 2),
    (&["keys", "create", "a", "--role", "viewer", "--tenant", "0"], 2),
    (&["keys", "create", "a", "--role", "viewer", "--workers", "log"], 2),
    (&["keys", "create", "a", "--role", "worker", "--queues", "a b"], 2),
    (&["keys", "create", "a", "--role", "worker", "--expires", "1ms"], 2),
    (&["keys", "revoke", "key_0123456789abcdef"], 3),
    (&["keys", "revoke", "../keys"], 3),
    (&["audit", "list", "--tenant", "0"], 2),
    (&["workflows", "versions", "plane"], 3),
    (&["workflows", "source", "plain", "9"], 3),
    (&["workflows", "diff", "plain", "1", "9"], 2),
    (&["workflows", "rollback", "plain", "9"], 3),
    (&["workflows", "delete", "plain", "1"], 5),
];

/// A folder with a run, a dead letter, a finished task, a budget, and a worker of its own; nothing is open.
fn place() -> Place {
    let place = Place::new();
    place.file("plain.yaml", PLAIN);
    place.file("workers/mine.yaml", "kind: prompt\nname: mine\nprompt: Say {{ text }}\noffline: summary\n");
    assert_eq!(place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]).code, 0);
    place
        .kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"])
        .refused(69, &[]);
    let once = ["submit", "log", "--wait", "--input", "message=a", "--idempotency-key", "once"];
    assert_eq!(place.kapelle(&once).code, 0);
    assert_eq!(place.kapelle(&["budgets", "set", "day", "5"]).code, 0);
    assert_eq!(place.kapelle(&["keys", "create", "ci", "--role", "worker", "--ask", "--limit", "$5"]).code, 0);
    assert_eq!(place.kapelle(&["keys", "create", "two", "--role", "admin", "--tenant", "2"]).code, 0);
    place
}

/// Returns an answer without what passes, or tells who works on the folder.
fn blank(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                // The state of a worker tells whether a server works.
                let is_worker = fields.contains_key("failure_rate");
                for (name, field) in fields.iter_mut() {
                    if DIFFERENT.contains(&name.as_str()) || is_worker && name == "state" {
                        *field = Value::Null;
                    } else {
                        walk(field);
                    }
                }
                fields.retain(|name, _| !DIFFERENT.contains(&name.as_str()));
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut value);
    value
}

/// Parses what a verb printed: one object, or one a line.
fn printed(said: &Said) -> Value {
    serde_json::from_str(&said.out).map(blank).unwrap_or_else(|_| {
        json!(said.out.lines().map(|line| blank(serde_json::from_str(line).unwrap())).collect::<Vec<_>>())
    })
}

struct Faces {
    place: Place,
    /// A folder without anything, from which a server is asked by its address.
    elsewhere: Place,
}

impl Faces {
    fn here(&self, arguments: &[&str]) -> Said {
        self.place.kapelle(&[arguments, &["--json"]].concat())
    }

    fn there(&self, served: &Served, arguments: &[&str]) -> Said {
        let (url, token) = (format!("http://{}", served.address), self.place.path(".kapelle/token"));
        let named = ["--json", "--server", &url, "--token-file", token.to_str().unwrap()];
        self.elsewhere.kapelle(&[arguments, &named].concat())
    }
}

#[test]
fn reading_verbs_give_one_answer_through_every_face() {
    let faces = Faces { place: place(), elsewhere: Place::new() };
    let alone: Vec<Said> = READS.iter().map(|(arguments, _)| faces.here(arguments)).collect();
    let served = Served::start(&faces.place);
    let token = std::fs::read_to_string(faces.place.path(".kapelle/token")).unwrap();
    let client = Client::new(&format!("http://{}", served.address), token.trim()).unwrap();
    let runtime = Runtime::new().unwrap();
    for ((arguments, path), alone) in READS.iter().zip(&alone) {
        assert_eq!(alone.code, 0, "{arguments:?}: {alone:?}");
        let wanted = printed(alone);
        let with = faces.here(arguments);
        assert_eq!((with.code, printed(&with)), (0, wanted.clone()), "{arguments:?} with a server");
        let named = faces.there(&served, arguments);
        assert_eq!((named.code, printed(&named)), (0, wanted.clone()), "{arguments:?} with --server");
        if let Some(path) = path {
            let answer: Value = runtime.block_on(client.get(path)).unwrap();
            assert_eq!(blank(answer), wanted, "{arguments:?} is not GET {path}");
        }
    }
    assert!(!faces.elsewhere.path(".kapelle").exists(), "a named server needs no folder");
}

#[test]
fn refusals_have_one_code_and_one_text_through_every_face() {
    let faces = Faces { place: place(), elsewhere: Place::new() };
    let alone: Vec<Said> = REFUSED.iter().map(|(arguments, _)| faces.here(arguments)).collect();
    let served = Served::start(&faces.place);
    for ((arguments, code), alone) in REFUSED.iter().zip(&alone) {
        assert_eq!(alone.code, *code, "{arguments:?}: {alone:?}");
        let wanted = alone.json()["error"].clone();
        let with = faces.here(arguments);
        assert_eq!(with.json()["error"], wanted, "{arguments:?} with a server");
        let named = faces.there(&served, arguments);
        assert_eq!(named.json()["error"], wanted, "{arguments:?} with --server");
    }
}

#[test]
fn changes_give_one_shape_through_every_face() {
    let changes: &[&[&str]] = &[
        &["submit", "log", "--input", "message=a", "--delay", "1h"],
        &["tasks", "cancel", "task_5"],
        &["tasks", "retry", "task_3"],
        &["queues", "pause", "default"],
        &["queues", "resume", "default"],
        &["workers", "pause", "log"],
        &["workers", "resume", "log"],
        &["budgets", "set", "day", "7"],
        &["budgets", "raise", "day", "1"],
        &["keys", "create", "gpu", "--role", "worker", "--workers", "*", "--expires", "30d"],
    ];
    let shapes = |ask: &dyn Fn(&[&str]) -> Said| -> Vec<Vec<String>> {
        let shape = |arguments: &&[&str]| {
            let said = ask(arguments);
            assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
            let mut names: Vec<String> = said.json().as_object().unwrap().keys().cloned().collect();
            // A task waits or not, depending on the process that works on it.
            names.retain(|name| !["reason", "waiting", "started_at", "ready_at"].contains(&name.as_str()));
            names
        };
        changes.iter().map(shape).collect()
    };
    let alone = Faces { place: place(), elsewhere: Place::new() };
    let wanted = shapes(&|arguments| alone.here(arguments));
    let with = Faces { place: place(), elsewhere: Place::new() };
    let _served = Served::start(&with.place);
    assert_eq!(shapes(&|arguments| with.here(arguments)), wanted);
    let named = Faces { place: place(), elsewhere: Place::new() };
    let served = Served::start(&named.place);
    assert_eq!(shapes(&|arguments| named.there(&served, arguments)), wanted);
}

#[test]
fn a_key_has_one_life_through_every_face() {
    let faces = Faces { place: Place::new(), elsewhere: Place::new() };
    let made = faces.here(&["keys", "create", "ci", "--role", "admin", "--tenant", "2"]).json();
    let revoked = faces.here(&["keys", "create", "old", "--role", "viewer"]).json();
    let id = revoked["id"].as_str().unwrap();
    let said = faces.here(&["keys", "revoke", id]).json();
    assert!(said["id"] == id && said["revoked_at"].is_string() && said.get("secret").is_none(), "{said}");

    // A key that was made without a server opens its tenant on one, and nothing else.
    let served = Served::start(&faces.place);
    let url = format!("http://{}", served.address);
    let runtime = Runtime::new().unwrap();
    let ask = |made: &Value| Client::new(&url, made["secret"].as_str().unwrap()).unwrap();
    let gone = runtime.block_on(ask(&revoked).get::<Value>("/api/v1/tasks")).unwrap_err();
    assert!(gone.to_string().contains("key"), "{gone}");
    let client = ask(&made);
    let keys: Value = runtime.block_on(client.get("/api/v1/keys")).unwrap();
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][0]["id"]), (1, &made["id"]));
    let second: Value = runtime.block_on(client.get("/api/v1/audit")).unwrap();
    assert_eq!(second["entries"], json!([]));
    runtime.block_on(client.get::<Value>("/api/v1/audit?tenant=1")).unwrap_err();
    runtime.block_on(client.get::<Value>("/api/v1/audit?all=true")).unwrap_err();

    // The tenant's own acts are its own trail, and the owner's on request.
    faces.elsewhere.file("key", made["secret"].as_str().unwrap());
    let as_second = |arguments: &[&str]| {
        let named = ["--json", "--server", &url, "--token-file", "key"];
        faces.elsewhere.kapelle(&[arguments, &named].concat())
    };
    let theirs = as_second(&["keys", "create", "theirs", "--role", "viewer"]).json();
    assert_eq!(theirs["tenant"], 2);
    let trail = as_second(&["audit"]).json();
    assert_eq!(trail["entries"].as_array().unwrap().len(), 1, "{trail}");
    assert_eq!(trail["entries"][0]["actor"], made["id"]);
    assert_eq!(as_second(&["audit", "list", "--all"]).code, as_second(&["audit", "list", "--tenant", "1"]).code);
    assert_ne!(as_second(&["audit", "list", "--all"]).code, 0);
    let actions = |said: Value| -> Vec<Value> {
        said["entries"].as_array().unwrap().iter().map(|entry| entry["tenant"].clone()).collect()
    };
    assert_eq!(faces.here(&["audit", "list", "--tenant", "2"]).json(), trail);
    assert_eq!(actions(faces.here(&["audit"]).json()), [json!(1), json!(1), json!(1)]);
    assert_eq!(actions(faces.here(&["audit", "list", "--all"]).json()), [json!(1), json!(1), json!(1), json!(2)]);
    served.end("-TERM");
    assert_eq!(actions(faces.here(&["audit", "list", "--all"]).json()).len(), 4);
}

#[test]
fn a_verb_that_works_on_a_folder_refuses_a_server() {
    let place = Place::new();
    for verb in [&["serve"][..], &["supervise"], &["resume"], &["doctor"], &["audit", "verify"], &["init"]] {
        let said = place.kapelle(&[verb, &["--server", "http://127.0.0.1:1"]].concat());
        said.refused(2, &["--server", "works on a folder of this machine", "--data"]);
    }
    let wrong = ["status", "--server", "http://example.com:1"];
    place.kapelle(&wrong).refused(2, &["no key for this server", "--token-file"]);
    place.kapelle(&["status", "--server", "example.com"]).refused(2, &["expected an address"]);
    place.file("key", "two words");
    place.kapelle(&["status", "--server", "http://127.0.0.1:1", "--token-file", "key"]).refused(2, &["one key"]);
    // The address may come from the environment, but not from the file of a project.
    place.with(&[("KAPELLE_URL", "http://127.0.0.1:1"), ("KAPELLE_TOKEN", "kap_a")], &["status"]).refused(69, &[":1"]);
    place.file(".env", "KAPELLE_URL=http://127.0.0.1:1\n");
    place.with(&[("KAPELLE_TOKEN", "kap_a")], &["status"]).refused(3, &["no data in"]);
}
