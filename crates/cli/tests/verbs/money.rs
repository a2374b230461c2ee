//! Model calls through the real binary: killed in the middle of a call, over a budget, with a changed configuration.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Duration,
};

use kapelle_api::Client;
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::timeout};

use crate::place::{Place, ended, signal, watched};

/// Time limit for everything, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder, and a provider for it.
pub struct Stage {
    pub place: Place,
    pub double: ScriptedOpenai,
    pub runtime: Runtime,
}

/// A server over the folder of a stage.
pub struct Served {
    child: Child,
    pub base: String,
    pub client: Client,
}

impl Stage {
    pub fn new(rules: &str) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let script = Script::from_yaml(&format!("key: sk-good\nrules: {rules}\n")).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        Stage { place: Place::new(), double, runtime }
    }

    pub fn serve(&self) -> Served {
        let mut command = self.place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("OPENAI_API_KEY", "sk-good").env("OPENAI_BASE_URL", self.double.base_url());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let _watched = watched(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = format!("http://{}", line.trim().strip_prefix("listening=").unwrap());
        let token = std::fs::read_to_string(self.place.path(".kapelle/token")).unwrap();
        let client = Client::new(&base, token.trim()).unwrap();
        Served { child, base, client }
    }

    pub fn post(&self, client: &Client, path: &str, body: Value) -> Value {
        self.runtime.block_on(async { timeout(PATIENCE, client.post(path, &body)).await.unwrap().unwrap() })
    }

    /// Waits until the double has received `calls` calls.
    pub fn asked(&self, calls: u64) {
        self.runtime.block_on(async { timeout(PATIENCE, self.double.called(calls)).await.unwrap() });
    }

    /// Returns the calls in the ledger, oldest first.
    pub fn calls(&self) -> Vec<Value> {
        let said = self.place.kapelle(&["cost", "--export"]);
        let mut lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.reverse();
        lines
    }
}

impl Served {
    pub fn kill(mut self) {
        signal(&self.child, "-KILL");
        self.child.wait().unwrap();
    }

    /// Drains and ends it.
    pub fn end(mut self) {
        signal(&self.child, "-TERM");
        assert!(ended(&mut self.child).is_some());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the states of calls.
pub fn states(calls: &[Value]) -> Vec<&str> {
    calls.iter().map(|call| call["state"].as_str().unwrap()).collect()
}

pub fn sum(calls: &[Value]) -> u64 {
    calls.iter().map(|call| call["cost_nanousd"].as_u64().unwrap()).sum()
}

#[test]
fn a_prompt_worker_that_is_killed_between_its_calls_asks_only_what_was_not_answered() {
    let stage = Stage::new(
        "[{ contains: does not fit, times: 1, hang: true },
          { contains: does not fit, reply: { text: Mend the roof., key_points: [It leaks.] } },
          { reply: nonsense, headers: { x-request-id: req-1 } }]",
    );
    let served = stage.serve();
    let task = stage.post(
        &served.client,
        "/api/v1/tasks",
        json!({ "worker": "summarizer", "input": { "text": "It leaks." } }),
    );
    stage.asked(2);
    served.kill();
    let served = stage.serve();
    let path = format!("/api/v1/tasks/{}?wait_ms=30000", task["id"].as_str().unwrap());
    let ended: Value = stage.runtime.block_on(async { served.client.get(&path).await.unwrap() });
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(2)), "{ended}");
    assert_eq!(stage.double.calls().len(), 3, "two calls, and the one that was in flight");
    let calls = stage.calls();
    assert_eq!(states(&calls), ["charged", "unknown", "charged"]);
    assert_eq!((&calls[0]["provider_request_id"], &calls[0]["task"]), (&json!("req-1"), &task["id"]));
    assert_eq!(calls[1]["cost_nanousd"], calls[1]["reserved_nanousd"]);
    assert_eq!(ended["cost_nanousd"], sum(&calls), "{ended}");
    let said = stage.place.kapelle(&["cost", "--by", "worker", "--json"]);
    assert_eq!(said.json()["rows"][0]["cost_nanousd"], sum(&calls), "{said:?}");
    let said = stage.place.kapelle(&["cost", "--worker", "summarizer", "--by", "provider", "--json"]);
    assert_eq!(said.json()["rows"][0]["cost_nanousd"], sum(&calls), "{said:?}");
    let said = stage.place.kapelle(&["cost", "--worker", "translator", "--model", "none"]);
    assert!(said.code == 0 && said.err.contains("no model calls of worker translator and model none"), "{said:?}");
}

#[test]
fn a_remote_worker_gets_its_answers_again_after_the_server_was_killed() {
    let stage =
        Stage::new("[{ contains: second, times: 1, hang: true }, { contains: second, reply: two }, { reply: one }]");
    let ask = |text: &str| json!({ "model": "fast", "messages": [{ "role": "user", "content": text }] });
    let claim = |served: &Served| {
        let host = stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
        let path = format!("/api/v1/hosts/{}/claim", host["id"].as_str().unwrap());
        let claimed = stage.post(&served.client, &path, json!({ "max_tasks": 1, "wait_ms": 20_000 }));
        let task = claimed["tasks"][0].clone();
        assert_eq!(task["gateway_url"], format!("{}/v1", served.base));
        let own = Client::new(&served.base, task["gateway_token"].as_str().unwrap()).unwrap();
        (task, own)
    };
    let served = stage.serve();
    let host = stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
    assert!(host["id"].is_string());
    let made = stage.post(&served.client, "/api/v1/tasks", json!({ "worker": "far" }));
    let (task, own) = claim(&served);
    let first = stage.post(&own, "/v1/chat/completions", ask("first"));
    let lost = {
        let body = ask("second");
        stage.runtime.spawn(async move { own.post::<Value>("/v1/chat/completions", &body).await.is_err() })
    };
    stage.asked(2);
    served.kill();
    assert!(stage.runtime.block_on(lost).unwrap());
    let served = stage.serve();
    let path = format!("/api/v1/tasks/{}/release", made["id"].as_str().unwrap());
    stage.post(&served.client, &path, json!({ "lease_token": task["lease_token"] }));
    let (again, own) = claim(&served);
    assert_eq!((&again["id"], &again["attempt"]), (&made["id"], &json!(2)));
    assert_eq!(stage.post(&own, "/v1/chat/completions", ask("first")), first, "the same answer, byte for byte");
    let second = stage.post(&own, "/v1/chat/completions", ask("second"));
    assert_eq!(second["choices"][0]["message"]["content"], "two");
    assert_eq!(stage.double.calls().len(), 3);
    assert_eq!(states(&stage.calls()), ["charged", "unknown", "charged"]);
}

#[test]
fn a_later_attempt_on_a_host_gets_the_next_recorded_answer_after_a_restart_and_not_the_same_again() {
    let stage = Stage::new("[{ times: 1, reply: heads }, { times: 1, reply: tails }, { reply: edge }]");
    let claim = |served: &Served| {
        let host = stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
        let path = format!("/api/v1/hosts/{}/claim", host["id"].as_str().unwrap());
        stage.post(&served.client, &path, json!({ "max_tasks": 1, "wait_ms": 20_000 }))["tasks"][0].clone()
    };
    let flip = |served: &Served, task: &Value| {
        let own = Client::new(&served.base, task["gateway_token"].as_str().unwrap()).unwrap();
        let body = json!({ "model": "fast", "messages": [{ "role": "user", "content": "flip" }] });
        stage.post(&own, "/v1/chat/completions", body)["choices"][0]["message"]["content"].clone()
    };
    let release = |served: &Served, task: &Value| {
        let path = format!("/api/v1/tasks/{}/release", task["id"].as_str().unwrap());
        stage.post(&served.client, &path, json!({ "lease_token": task["lease_token"] }));
    };
    let served = stage.serve();
    stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
    stage.post(&served.client, "/api/v1/tasks", json!({ "worker": "far" }));
    let first = claim(&served);
    assert_eq!([flip(&served, &first), flip(&served, &first)], ["heads", "tails"]);
    release(&served, &first);
    let second = claim(&served);
    assert_eq!((&second["attempt"], flip(&served, &second)), (&json!(2), json!("heads")));
    served.kill();
    // The same attempt continues: its earlier answers are consumed, those of the first are still there.
    let served = stage.serve();
    assert_eq!(flip(&served, &second), "tails");
    assert_eq!(stage.double.calls().len(), 2, "nobody was asked");
    assert_eq!(flip(&served, &second), "edge");
    served.kill();
    let served = stage.serve();
    assert_eq!(flip(&served, &second), "edge");
    assert_eq!(stage.double.calls().len(), 4, "another sample is another call");
    release(&served, &second);
    let third = claim(&served);
    let all = [(); 4].map(|()| flip(&served, &third));
    assert_eq!(all, ["heads", "tails", "edge", "edge"], "a new attempt begins with the first");
    assert_eq!(stage.double.calls().len(), 4);
}

#[test]
fn an_attempt_on_a_host_goes_on_with_its_token_after_its_server_was_killed() {
    let stage =
        Stage::new("[{ contains: second, times: 1, hang: true }, { contains: second, reply: two }, { reply: one }]");
    let ask = |text: &str| json!({ "model": "fast", "messages": [{ "role": "user", "content": text }] });
    let register = |served: &Served| {
        let host = stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
        format!("/api/v1/hosts/{}", host["id"].as_str().unwrap())
    };
    let served = stage.serve();
    let host = register(&served);
    let made = stage.post(&served.client, "/api/v1/tasks", json!({ "worker": "far" }));
    let claimed = stage.post(&served.client, &format!("{host}/claim"), json!({ "max_tasks": 1, "wait_ms": 20_000 }));
    let task = &claimed["tasks"][0];
    let token = task["gateway_token"].as_str().unwrap();
    let own = Client::new(&served.base, token).unwrap();
    let first = stage.post(&own, "/v1/chat/completions", ask("first"));
    let lost = {
        let (own, body) = (Client::new(&served.base, token).unwrap(), ask("second"));
        stage.runtime.spawn(async move { own.post::<Value>("/v1/chat/completions", &body).await.is_err() })
    };
    stage.asked(2);
    served.kill();
    assert!(stage.runtime.block_on(lost).unwrap());
    // One call of three is answered, one was in flight. The same attempt continues at its position.
    let served = stage.serve();
    let host = register(&served);
    let beat = json!({ "tasks": [{ "lease_token": task["lease_token"] }] });
    assert_eq!(stage.post(&served.client, &format!("{host}/heartbeat"), beat)["cancel"], json!([]));
    let own = Client::new(&served.base, token).unwrap();
    let second = stage.post(&own, "/v1/chat/completions", ask("second"));
    assert_eq!(second["choices"][0]["message"]["content"], "two");
    // A repeated question within this attempt is another sample.
    let again = stage.post(&own, "/v1/chat/completions", ask("first"));
    assert_eq!(again["choices"], first["choices"]);
    assert_eq!(stage.double.calls().len(), 4, "n calls, and the one in flight at the kill");
    let id = made["id"].as_str().unwrap();
    let done = json!({ "lease_token": task["lease_token"], "output": second["choices"][0]["message"]["content"] });
    stage.post(&served.client, &format!("/api/v1/tasks/{id}/succeed"), done);
    let over = stage.runtime.block_on(async { own.post::<Value>("/v1/chat/completions", &ask("third")).await });
    assert!(format!("{over:?}").contains("401"), "{over:?}");
    let ended: Value =
        stage.runtime.block_on(async { served.client.get(&format!("/api/v1/tasks/{id}")).await.unwrap() });
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended}");
    // Also when the server that knew of its end is gone.
    served.kill();
    let served = stage.serve();
    let own = Client::new(&served.base, token).unwrap();
    let over = stage.runtime.block_on(async { own.post::<Value>("/v1/chat/completions", &ask("third")).await });
    assert!(format!("{over:?}").contains("401"), "{over:?}");
    assert_eq!(states(&stage.calls()), ["charged", "unknown", "charged", "charged"]);
}

#[test]
fn budgets_are_set_raised_and_shown_with_and_without_a_server() {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 50 } }]");
    stage.place.kapelle(&["budgets"]).refused(3, &["no data in"]);
    assert_eq!(stage.place.kapelle(&["budgets", "set", "day", "0.50"]).code, 0);
    stage.place.kapelle(&["budgets", "set", "nobody", "1"]).refused(2, &["`nobody` is not an account"]);
    stage.place.kapelle(&["budgets", "set", "day", "much"]).refused(2, &["not an amount"]);
    stage.place.kapelle(&["budgets", "raise", "tenant", "1"]).refused(3, &["no budget yet"]);
    let served = stage.serve();
    let said = stage.place.kapelle(&["budgets", "raise", "day", "0.25"]);
    assert_eq!((said.code, said.out.trim()), (0, "this day may spend $0.75"), "{said:?}");
    let ask = json!({ "model": "fast", "messages": [{ "role": "user", "content": "hi" }] });
    stage.post(&served.client, "/v1/chat/completions", ask.clone());
    // An answer is not held up until it is charged.
    let listed = (0..100).map(|_| stage.place.kapelle(&["budgets", "--json"]).json());
    let listed = listed.into_iter().find(|listed| listed["budgets"][0]["spent_nanousd"].as_u64().unwrap() > 0).unwrap();
    assert_eq!(listed["budgets"][0]["limit_nanousd"], 750_000_000);
    assert!(stage.place.kapelle(&["cost", "--by", "day"]).out.contains("COST"));
    let said = stage.place.kapelle(&["cost", "--by", "run"]);
    assert!(
        said.err.contains("no run asked a model; see `kapelle cost` with ") && said.err.contains("--by key"),
        "{said:?}"
    );
    stage.place.kapelle(&["cost", "--by", "moon"]).refused(2, &["task, run, worker"]);
    assert!(stage.place.kapelle(&["audit"]).out.contains("budget.set"));
    // A changed file takes effect while the server works.
    stage.place.file("kapelle.yaml", "models: { mine: { chain: [openai/gpt-4o] } }\nbudgets: { day: $0.000001 }\n");
    let models = || -> Value { stage.runtime.block_on(async { served.client.get("/v1/models").await.unwrap() }) };
    stage.runtime.block_on(async {
        timeout(PATIENCE, async {
            loop {
                let models: Value = served.client.get("/v1/models").await.unwrap();
                if models.to_string().contains("mine") {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    });
    assert!(models().to_string().contains("fast"));
    let over = stage.runtime.block_on(async { served.client.post::<Value>("/v1/chat/completions", &ask).await });
    assert!(format!("{over:?}").contains("402"), "{over:?}");
}
