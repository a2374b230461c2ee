//! The server, a provider double behind it, and the keys of both tenants.

use std::{fs, sync::Arc};

use kapelle_testkit::{
    rng::Rng,
    scripted_openai::{Script, ScriptedOpenai},
};
use serde_json::{Value, json};

use crate::{
    http::Http,
    place::{Place, now, pause},
    wire::Wire,
};

/// All roles.
pub const ROLES: [&str; 5] = ["admin", "operator", "developer", "viewer", "worker"];
/// Cost in nano-dollars of twenty tokens received, at a dollar for a million.
pub const COST: u64 = 20_000;

/// The server and its surroundings.
pub struct Stage {
    pub place: Place,
    pub wire: Arc<Wire>,
    /// The key with which the good tenant works.
    pub good: Arc<str>,
    /// A key of each role of the hostile tenant, and two invalid ones.
    pub bad: Vec<Arc<str>>,
    /// Paths of the good tenant's data.
    pub theirs: Vec<String>,
    _runtime: tokio::runtime::Runtime,
    _double: ScriptedOpenai,
}

impl Stage {
    pub fn new(chance: &mut Rng) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let usage = "usage: { prompt_tokens: 9, completion_tokens: 20 }";
        let script = Script::from_yaml(&format!("key: sk-up\nrules: [{{ reply: hello, {usage} }}]\n")).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        let place = Place::prepared(chance, |folder| {
            let config = "prices: { 'openai/*': { input: $0, output: $1 } }\n";
            fs::write(folder.join("kapelle.yaml"), config).unwrap();
            let keys = format!("OPENAI_API_KEY=sk-up\nOPENAI_BASE_URL={}\n", double.base_url());
            fs::write(folder.join(".env"), keys).unwrap();
        });
        let canary = format!("canary{:016x}", chance.draw());
        let mut http = place.http();
        let (good, _) = key(&mut http, "developer", 1, &canary);
        let mut bad: Vec<_> = ROLES.iter().map(|role| key(&mut http, role, 2, "hostile").0).collect();
        bad.push(Arc::from(""));
        bad.push(Arc::from(format!("kapelle_{}", "0".repeat(80))));
        let theirs = belongings(&place, &mut http, &canary);
        let wire = Arc::new(Wire::new(place.address, canary));
        Stage { place, wire, good, bad, theirs, _runtime: runtime, _double: double }
    }

    /// Returns the key of the hostile tenant with this role.
    pub fn bad(&self, role: &str) -> Arc<str> {
        Arc::clone(&self.bad[ROLES.iter().position(|known| *known == role).unwrap()])
    }

    /// Returns the memory of the server in MiB: now, and at most so far.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.place.pid())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Checks that the good tenant spent what its own calls cost.
    pub fn has_its_money(&self, calls: u64) {
        let until = now() + std::time::Duration::from_secs(20);
        loop {
            let report = self.place.http().get("/api/v1/cost?by=tenant").unwrap().json(200);
            let row = report["rows"].as_array().unwrap().iter().find(|row| row["name"] == "tenant 1").cloned();
            let spent = row.as_ref().map_or(0, |row| row["cost_nanousd"].as_u64().unwrap());
            if spent == calls * COST {
                return;
            }
            assert!(spent < calls * COST && now() < until, "{calls} calls of its own, but {report}");
            // The last calls are charged a moment after their answers.
            pause(20);
        }
    }
}

fn key(http: &mut Http, role: &str, tenant: u32, name: &str) -> (Arc<str>, String) {
    let body = json!({ "name": format!("{role} {name}"), "role": role, "tenant": tenant });
    let made = http.post("/api/v1/keys", &body).unwrap().json(201);
    (Arc::from(made["secret"].as_str().unwrap()), made["id"].as_str().unwrap().to_owned())
}

/// Creates data of the good tenant, each with the canary in it. Returns its paths.
fn belongings(place: &Place, http: &mut Http, canary: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let input = json!({ "message": canary });
    let task = http.post("/api/v1/tasks?wait_ms=20000", &json!({ "worker": "log", "input": input })).unwrap().json(201);
    let task = task["id"].as_str().unwrap().to_owned();
    let source = format!(
        "name: theirs\ndescription: {canary}\nsteps:\n  one: {{ worker: log, with: {{ message: {canary} }} }}\n  \
         ask: {{ wait: {{ approval: '{canary}?' }} }}\n"
    );
    let run = http.post("/api/v1/runs", &json!({ "source": source })).unwrap().json(201);
    let run = run["id"].as_str().unwrap().to_owned();
    http.post("/api/v1/workflows", &json!({ "source": source })).unwrap().json(201);
    let file = upload(place, canary);
    let host = json!({ "name": canary, "workers": ["theirs"], "slots": 1, "labels": { "of": canary } });
    let host = http.post("/api/v1/hosts", &host).unwrap().json(201)["id"].as_str().unwrap().to_owned();
    let (_, key) = key(http, "viewer", 1, canary);
    for end in ["", "/cancel", "/retry", "/succeed", "/fail", "/release"] {
        paths.push(format!("/api/v1/tasks/{task}{end}"));
    }
    for end in ["", "/steps", "/journal", "/export", "/events", "/cancel", "/pause", "/resume", "/rerun", "/signals/x"]
    {
        paths.push(format!("/api/v1/runs/{run}{end}"));
    }
    for end in ["", "/claim", "/ack", "/heartbeat", "/report"] {
        paths.push(format!("/api/v1/hosts/{host}{end}"));
    }
    paths.push(format!("/api/v1/ws?run={run}"));
    paths.push(format!("/api/v1/keys/{key}"));
    paths.push(format!("/api/v1/artifacts/{file}"));
    paths.push(format!("/api/v1/files/{file}"));
    paths.push(format!("/api/v1/cost?by=run&name={run}"));
    paths.push(format!("/api/v1/calls?run={run}"));
    for path in ["/workflows/theirs", "/workflows/theirs/1", "/workflows/theirs/diff", "/dead/task_1/retry"] {
        paths.push(format!("/api/v1{path}"));
    }
    paths
}

fn upload(place: &Place, text: &str) -> String {
    let mut http = place.http();
    let path = format!("/api/v1/artifacts?name={text}");
    let made = http.ask("POST", &path, "", &Value::from(text)).unwrap().json(201);
    made["$file"].as_str().unwrap().to_owned()
}
