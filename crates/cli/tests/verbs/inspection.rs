//! The configuration in force in a server, and its checks, as its console reads them.

use std::io::BufRead;

use kapelle_api::Client;
use serde_json::{Value, json};

use crate::{place::Place, serve::Served};

const KEY: &str = "sk-not-a-real-key-0123456789";

/// A server, and a client of its owner.
struct Console {
    base: String,
    token: String,
    runtime: tokio::runtime::Runtime,
}

impl Console {
    fn of(place: &Place, address: &str) -> Console {
        let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Console { base: format!("http://{address}"), token: token.trim().to_owned(), runtime }
    }

    fn get(&self, path: &str) -> Value {
        let client = Client::new(&self.base, &self.token).unwrap();
        self.runtime.block_on(client.get::<Value>(path)).unwrap()
    }

    /// Returns value and origin of a setting in force.
    fn setting(&self, path: &str) -> (Value, Value) {
        let report = self.get("/api/v1/config");
        let row = report["settings"].as_array().unwrap().iter().find(|row| row["path"] == path).unwrap();
        (row["value"].clone(), row["origin"].clone())
    }
}

#[test]
fn a_server_tells_the_settings_that_the_command_line_tells() {
    let place = Place::new();
    place.file("kapelle.yaml", "queues: { ml: { slots: 3 } }\n");
    place.file(".env", format!("OPENAI_API_KEY={KEY}\n"));
    let served = Served::start(&place);
    let console = Console::of(&place, &served.address);
    let report = console.get("/api/v1/config");
    assert!(!report.to_string().contains(KEY), "keys stay where they are");
    let mut told = serde_json::Map::new();
    for row in report["settings"].as_array().unwrap() {
        let path = row["path"].as_str().unwrap().to_owned();
        told.insert(path, json!({ "value": row["value"], "origin": row["origin"] }));
    }
    assert_eq!(Value::Object(told), place.kapelle(&["config", "show", "--origin", "--json"]).json());
    assert_eq!(console.setting("queues.ml.slots"), (json!(3), json!("kapelle.yaml")));
    assert_eq!(console.setting("OPENAI_API_KEY"), (json!("set"), json!(".env")));
}

#[test]
fn settings_in_force_are_told_and_not_those_that_wait_for_a_restart() {
    let place = Place::new();
    place.file("kapelle.yaml", "queues: { ml: { slots: 3 } }\nfallback: false\n");
    let (mut child, mut lines) = place.started(&["serve", "--listen", "127.0.0.1:0"], "ready");
    let address = std::fs::read_to_string(place.path(".kapelle/address")).unwrap();
    let address = address.lines().next().unwrap().strip_prefix("http://").unwrap().to_owned();
    let console = Console::of(&place, &address);
    place.file("kapelle.yaml", "queues: { ml: { slots: 5 } }\nfallback: true\n# changed\n");
    let mut line = String::new();
    while !line.contains("in effect only after a restart: queues") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it told of the change");
    }
    assert_eq!(console.setting("queues.ml.slots"), (json!(3), json!("kapelle.yaml")));
    assert_eq!(console.setting("fallback"), (json!(true), json!("kapelle.yaml")));
    crate::place::signal(&child, "-TERM");
    child.wait().unwrap();
}

#[test]
fn a_running_server_checks_its_machine() {
    let place = Place::new();
    place.file("workers/broken.yaml", "kind: prompt\nname: broken\nnonsense: 1\n");
    let served = Served::start(&place);
    let report = Console::of(&place, &served.address).get("/api/v1/doctor");
    let checks = report["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name);
    for name in ["version", "sqlite", "data", "permissions", "database", "disk", "config", "scripts", "documents"] {
        assert_eq!(of(name).unwrap()["state"], "ok", "{name}: {report}");
    }
    assert!(of("port").is_none() && of("writer").is_none(), "a server listens and writes: {report}");
    assert_eq!(report["ok"], json!(true));
    let workers = of("workers").unwrap();
    assert_eq!((&workers["state"], &workers["command"]), (&json!("warn"), &json!("kapelle workers list")));
    assert!(checks.iter().all(|check| check["command"].as_str().unwrap().starts_with("kapelle ")));
    let model = of("model").unwrap();
    assert_eq!(model["state"], "warn");
    assert!(model["todo"].as_str().unwrap().contains("OPENAI_API_KEY"));
}
