//! The model gateway at `/v1`, and its costs.

use std::{sync::Arc, time::Duration};

use kapelle_server::Limits;
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::place::{Answer, Place, Setup};

/// Worst-case cost of a call with `max_tokens: 100`, at a dollar for a million tokens received and nothing for those
/// sent.
const WORST: u64 = 100_000;
/// Time limit for everything.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub place: Place,
    pub double: ScriptedOpenai,
}

impl Stage {
    pub async fn new(rules: &str) -> Stage {
        Stage::with(rules, "").await
    }

    /// Makes a stage with more in `kapelle.yaml`.
    pub async fn with(rules: &str, more: &str) -> Stage {
        let script = Script::from_yaml(&format!("key: sk-canary\nrules: {rules}")).unwrap();
        let double = ScriptedOpenai::start(script).await.unwrap();
        let config = format!("prices: {{ 'openai/*': {{ input: $0, output: $1 }} }}\n{more}");
        let limits = Limits { failures_per_minute: 1_000, ..Limits::default() };
        let setup = Setup { limits, config, base_url: Some(double.base_url()), ..Setup::default() };
        Stage { place: Place::set_up(setup).await, double }
    }

    pub async fn chat(&self, token: &str, text: &str) -> Answer {
        self.place.ask_as(token, "POST", "/v1/chat/completions", says(text)).await
    }

    /// Returns what an account has spent, and in how many calls, once it has made `calls`: an answer is not delayed
    /// until it is charged, because its worst case is in the ledger before the call.
    pub async fn spent(&self, by: &str, name: &str, calls: u64) -> (u64, u64) {
        let looking = async {
            loop {
                let report = self.place.get(&format!("/api/v1/cost?by={by}")).await.json(200);
                let row = report["rows"].as_array().unwrap().iter().find(|row| name.is_empty() || row["name"] == name);
                let of = |field: &str| row.map_or(0, |row| row[field].as_u64().unwrap());
                if of("calls") >= calls {
                    return (of("cost_nanousd"), of("calls"));
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looking).await.unwrap_or_default()
    }

    /// Registers a host with one worker. Returns the beginning of its paths.
    pub async fn host(&self) -> String {
        let made = self.place.post("/api/v1/hosts", json!({ "workers": ["far"], "slots": 4 })).await.json(201);
        format!("/api/v1/hosts/{}", made["id"].as_str().unwrap())
    }

    pub async fn claim(&self, host: &str) -> Value {
        let body = json!({ "max_tasks": 1, "wait_ms": 20_000 });
        let claimed = self.place.post(&format!("{host}/claim"), body).await.json(200);
        claimed["tasks"][0].clone()
    }

    pub async fn report(&self, host: &str, task: &Value, more: Value) -> Value {
        let mut report = json!({ "lease_token": task["lease_token"] });
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.place.post(&format!("{host}/report"), json!({ "reports": [report] })).await.json(200);
        answer["results"][0].clone()
    }

    /// Opens a stream and reads its head and first piece.
    async fn stream(&self, token: &str, text: &str) -> TcpStream {
        let mut body = says(text);
        body["stream"] = json!(true);
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.place.address()).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.place.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("data: ") {
            let mut bytes = [0; 4_096];
            let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "it ended: {seen}");
            seen += &String::from_utf8_lossy(&bytes[..read]);
        }
        assert!(seen.contains("200 OK") && seen.contains("content-type: text/event-stream"), "{seen}");
        stream
    }
}

fn says(text: &str) -> Value {
    json!({ "model": "fast", "max_tokens": 100, "messages": [{ "role": "user", "content": text }] })
}

pub fn token(task: &Value) -> &str {
    task["gateway_token"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_ask_models_and_pay_for_themselves() {
    let usage = "usage: { prompt_tokens: 9, completion_tokens: 20 }";
    let stage = Stage::new(&format!("[{{ reply: hello, {usage}, headers: {{ x-request-id: req-7 }} }}]")).await;
    let (key, id) = stage.place.key("developer", 1).await;
    let answer = stage.chat(&key, "hi").await;
    assert_eq!(answer.json(200)["choices"][0]["message"]["content"], "hello");
    assert_eq!(answer.headers["x-kapelle-provider"], "openai");
    let models = stage.place.ask_as(&key, "GET", "/v1/models", Value::Null).await.json(200);
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "fast"), "{models}");
    for (by, name) in [("key", id.as_str()), ("tenant", ""), ("day", ""), ("provider", "openai")] {
        assert_eq!(stage.spent(by, name, 1).await, (20_000, 1), "{by}");
    }
    let calls = stage.place.get("/api/v1/calls").await.json(200);
    let call = &calls["calls"][0];
    assert_eq!((&call["provider_request_id"], &call["state"]), (&json!("req-7"), &json!("charged")), "{call}");
    assert_eq!((&call["task"], &call["reserved_nanousd"]), (&Value::Null, &json!(WORST)), "{call}");
    // Callers without permission, and unknown ones, are refused in the words of the SDKs.
    let (viewer, _) = stage.place.key("viewer", 1).await;
    assert_eq!(stage.chat(&viewer, "hi").await.json(403)["error"]["code"], "forbidden");
    for nobody in ["kap_wrong", "sk-kapelle-00", "kapelle_00", "sk-canary"] {
        assert_eq!(stage.chat(nobody, "hi").await.json(401)["error"]["type"], "authentication_error", "{nobody}");
    }
    let large = "x".repeat(33 << 20);
    assert_eq!(stage.chat(&key, &large).await.json(413)["error"]["type"], "invalid_request_error");
    let broken = stage.place.ask_as(&key, "POST", "/v1/chat/completions", json!([])).await;
    assert_eq!(broken.json(400)["error"]["type"], "invalid_request_error");
    assert_eq!(stage.double.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_door_takes_keys_in_both_headers_and_replays() {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 20 } }]").await;
    let (key, _) = stage.place.key("developer", 1).await;
    let host = stage.host().await;
    stage.place.submit("far", json!({})).await;
    let task = stage.claim(&host).await;
    let body = says("hi").to_string();
    let say = async |headers: &[(&str, &str)], path: &str, body: &str| {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        stage.place.say("POST", path, &all, body.as_bytes()).await
    };
    let bearer = format!("Bearer {key}");
    for header in [("x-api-key", key.as_str()), ("authorization", bearer.as_str()), ("x-api-key", token(&task))] {
        let answer = say(&[header], "/v1/messages", &body).await;
        assert_eq!(answer.json(200)["content"][0]["text"], "hello");
        assert!(answer.headers["request-id"].starts_with("req_"));
        let counted = say(&[header], "/v1/messages/count_tokens", &body).await.json(200);
        assert!(counted["input_tokens"].as_u64().unwrap() > 0);
    }
    for wrong in ["kap_wrong", "sk-kapelle-00", "sk-canary"] {
        let refused = say(&[("x-api-key", wrong)], "/v1/messages", &body).await.json(401);
        assert_eq!((&refused["type"], &refused["error"]["type"]), (&json!("error"), &json!("authentication_error")));
    }
    let broken = say(&[("x-api-key", &key)], "/v1/messages", "{").await.json(400);
    assert_eq!(broken["error"]["type"], "invalid_request_error", "{broken}");
    // Elsewhere only `Authorization` counts.
    let elsewhere = stage.place.say("GET", "/api/v1/tasks", &[("x-api-key", key.as_str())], b"").await;
    elsewhere.refused(401, "unauthorized", &[]);
    // The next attempt gets its answer for nothing.
    stage.report(&host, &task, json!({ "outcome": "release" })).await;
    let host = stage.host().await;
    let again = stage.claim(&host).await;
    let answer = say(&[("x-api-key", token(&again))], "/v1/messages", &body).await;
    assert_eq!(answer.headers["x-kapelle-source"], "replay");
    assert_eq!(stage.double.calls().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_token_pays_for_its_task_and_ends_with_its_attempt() {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 20 } }]").await;
    let host = stage.host().await;
    let id = stage.place.submit("far", json!({})).await;
    let task = stage.claim(&host).await;
    assert_eq!(task["gateway_url"], format!("http://{}/v1", stage.place.address()));
    for _ in 0..2 {
        stage.chat(token(&task), "hi").await.json(200);
    }
    for (by, name) in [("task", id.as_str()), ("worker", "far"), ("queue", "default"), ("tenant", "")] {
        assert_eq!(stage.spent(by, name, 2).await, (40_000, 2), "{by}: two equal calls of a task are two samples");
    }
    let done = stage.report(&host, &task, json!({ "outcome": "succeed", "output": 1 })).await;
    assert_eq!(done["accepted"], true, "{done}");
    assert_eq!(stage.chat(token(&task), "hi").await.json(401)["error"]["code"], "invalid_token");
    assert_eq!(stage.double.calls().len(), 2);
    let shown = stage.place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
    assert_eq!((&shown["cost_nanousd"], &shown["calls"]), (&json!(40_000), &json!(2)), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_gets_the_same_answers_and_pays_only_for_new_ones_also_after_a_restart() {
    let stage = Stage::new("[]").await;
    let host = stage.host().await;
    let id = stage.place.submit("far", json!({})).await;
    let first = stage.claim(&host).await;
    let answers = [stage.chat(token(&first), "one").await.text(), stage.chat(token(&first), "two").await.text()];
    stage.report(&host, &first, json!({ "outcome": "release" })).await;
    let Stage { place, double } = stage;
    let stage = Stage { place: place.again().await, double };
    let host = stage.host().await;
    let second = stage.claim(&host).await;
    assert_eq!(second["attempt"], 2);
    for (text, answer) in ["one", "two"].into_iter().zip(&answers) {
        let again = stage.chat(token(&second), text).await;
        assert_eq!((&again.text(), again.headers["x-kapelle-source"].as_str()), (answer, "replay"));
    }
    assert_eq!(stage.double.calls().len(), 2);
    stage.chat(token(&second), "three").await.json(200);
    assert_eq!((stage.double.calls().len(), stage.spent("task", &id, 3).await.1), (3, 3));
    // After a bad answer, and after any error that asks for it, every model is asked again.
    let error = json!({ "category": "invalid_output", "message": "not what was asked for", "retryable": true });
    stage.report(&host, &second, json!({ "outcome": "fail", "error": error })).await;
    let third = stage.claim(&host).await;
    let again = stage.chat(token(&third), "one").await;
    assert_eq!((again.status, again.headers["x-kapelle-source"].as_str()), (200, "provider"));
    assert_eq!(stage.double.calls().len(), 4);
    stage.report(&host, &third, json!({ "outcome": "release" })).await;
    let fourth = stage.claim(&host).await;
    assert_eq!(stage.chat(token(&fourth), "one").await.headers["x-kapelle-source"], "replay");
    // Retried by hand after its final failure, so that there is a further attempt.
    let error = json!({ "category": "unavailable", "message": "no", "retryable": false, "retry": "fresh" });
    stage.report(&host, &fourth, json!({ "outcome": "fail", "error": error })).await;
    stage.place.post(&format!("/api/v1/tasks/{id}/retry"), Value::Null).await.json(200);
    let fifth = stage.claim(&host).await;
    assert_eq!(stage.chat(token(&fifth), "one").await.headers["x-kapelle-source"], "provider");
    assert_eq!(stage.double.calls().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_and_a_client_that_leaves_close_the_upstream_at_once() {
    let stage = Stage::new("[{ reply: a long enough answer, events_hang: 2 }]").await;
    let host = stage.host().await;
    let id = stage.place.submit("far", json!({})).await;
    let task = stage.claim(&host).await;
    let mut stream = stage.stream(token(&task), "hi").await;
    stage.place.post(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await.json(200);
    timeout(Duration::from_secs(1), stage.double.left(1)).await.expect("the upstream is closed within a second");
    let mut rest = String::new();
    let mut bytes = [0; 4_096];
    while !rest.contains("0\r\n\r\n") {
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "{rest}");
        rest += &String::from_utf8_lossy(&bytes[..read]);
    }
    assert!(rest.contains("error"), "{rest}");
    let key = stage.place.token.clone();
    drop(stage.stream(&key, "hi").await);
    timeout(Duration::from_secs(1), stage.double.left(2)).await.expect("nobody reads any more");
    let (_, calls) = stage.spent("tenant", "", 1).await;
    assert!(calls >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_at_once_on_a_budget_for_ten_spend_exactly_that() {
    let rules = "[{ usage: { prompt_tokens: 9, completion_tokens: 100 } }]";
    let stage = Stage::with(rules, "budgets: { day: $0.001 }").await;
    // The connections first, one by one, so that all calls come at one moment.
    let mut connections = Vec::new();
    for _ in 0..1_000 {
        connections.push(TcpStream::connect(stage.place.address()).await.unwrap());
    }
    let body = says("hi").to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        stage.place.address(),
        stage.place.token,
        body.len()
    );
    let mut calls = JoinSet::new();
    for mut connection in connections {
        let request = request.clone();
        calls.spawn(async move {
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[9..12]).into_owned()
        });
    }
    let statuses = calls.join_all().await;
    assert_eq!(statuses.iter().filter(|status| *status == "200").count(), 10);
    assert_eq!(statuses.iter().filter(|status| *status == "402").count(), 990);
    assert_eq!(stage.double.calls().len(), 10);
    assert_eq!(stage.spent("day", "", 10).await, (10 * WORST, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_equal_calls_at_once_are_one_where_that_is_allowed() {
    let stage = Arc::new(Stage::new("[{ reply: hello, delay_ms: 50 }]").await);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let stage = Arc::clone(&stage);
        calls.spawn(async move {
            let bearer = format!("Bearer {}", stage.place.token);
            let headers =
                [("authorization", bearer.as_str()), ("content-type", "application/json"), ("x-kapelle-cache", "60")];
            let body = says("hi").to_string();
            stage.place.say("POST", "/v1/chat/completions", &headers, body.as_bytes()).await.status
        });
    }
    assert_eq!(calls.join_all().await, [200; 100]);
    assert_eq!(stage.double.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_money_is_parked_and_goes_on_when_the_budget_is_raised() {
    let stage = Stage::with(
        "[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 90 } }]",
        "budgets: { day: $0.0001 }",
    )
    .await;
    stage
        .place
        .kapelle
        .register_prompt("kind: prompt\nname: asks\nmax_output_tokens: 100\nprompt: '{{ text }}'\n")
        .unwrap();
    let first = stage.place.submit("asks", json!({ "text": "a" })).await;
    let shown = stage.place.get(&format!("/api/v1/tasks/{first}?wait_ms=20000")).await.json(200);
    assert_eq!((&shown["state"], &shown["cost_nanousd"]), (&json!("succeeded"), &json!(90_000)), "{shown}");
    let second = stage.place.submit("asks", json!({ "text": "b" })).await;
    let path = format!("/api/v1/tasks/{second}");
    let parked = timeout(PATIENCE, async {
        loop {
            let shown = stage.place.get(&format!("{path}?wait_ms=20")).await.json(200);
            if shown["state"] != "running" && shown["state"] != "ready" {
                return shown;
            }
        }
    });
    let parked = parked.await.unwrap();
    assert_eq!((&parked["state"], &parked["error"]), (&json!("parked"), &Value::Null), "{parked}");
    // It stays parked over a restart, and its slot is free.
    let Stage { place, double } = stage;
    let stage = Stage { place: place.again().await, double };
    stage
        .place
        .kapelle
        .register_prompt("kind: prompt\nname: asks\nmax_output_tokens: 100\nprompt: '{{ text }}'\n")
        .unwrap();
    assert_eq!(stage.place.get(&path).await.json(200)["state"], "parked");
    assert_eq!(stage.double.calls().len(), 1);
    let (developer, _) = stage.place.key("developer", 1).await;
    let more = json!({ "account": "day", "limit_nanousd": 1_000_000 });
    stage.place.ask_as(&developer, "POST", "/api/v1/budgets", more.clone()).await.refused(403, "forbidden", &[]);
    let raised = stage.place.post("/api/v1/budgets", more).await.json(200);
    assert_eq!(raised["limit_nanousd"], 1_000_000);
    let shown = stage.place.get(&format!("{path}?wait_ms=20000")).await.json(200);
    assert_eq!((&shown["state"], &shown["cost_nanousd"]), (&json!("succeeded"), &json!(90_000)), "{shown}");
    let trail = stage.place.get("/api/v1/audit").await.json(200);
    assert!(trail["entries"].to_string().contains("budget.set"), "{trail}");
    // A limit raised by hand stays while the file is unchanged.
    let place = stage.place.again().await;
    assert_eq!(place.get("/api/v1/budgets").await.json(200)["budgets"][0]["limit_nanousd"], 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_to_the_budget_of_its_workflow() {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 100 } }]").await;
    stage
        .place
        .kapelle
        .register_prompt("kind: prompt\nname: asks\nmax_output_tokens: 100\nprompt: '{{ text }}'\n")
        .unwrap();
    let source = "name: flow\nbudget: $0.0002\nsteps:\n  all: { for_each: '${{ range(5) }}', worker: asks, with: { text: '${{ item }}' } }\n";
    let run = stage.place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let run = run["id"].as_str().unwrap().to_owned();
    let parked = "/api/v1/tasks?state=parked&steps=true";
    timeout(PATIENCE, async {
        while stage.place.get(parked).await.json(200)["tasks"].as_array().unwrap().len() < 3 {
            stage.place.get(&format!("/api/v1/runs/{run}?wait_ms=20")).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(stage.spent("run", &run, 2).await, (2 * WORST, 2));
    let raise = json!({ "account": run, "limit_nanousd": 5 * WORST });
    stage.place.post("/api/v1/budgets", raise).await.json(200);
    let ended = stage.place.get(&format!("/api/v1/runs/{run}?wait_ms=20000")).await.json(200);
    assert_eq!((&ended["state"], &ended["cost_nanousd"]), (&json!("succeeded"), &json!(5 * WORST)), "{ended}");
    assert_eq!(stage.spent("run", &run, 5).await, (5 * WORST, 5));
    assert_eq!((stage.spent("worker", "asks", 5).await, stage.double.calls().len()), ((5 * WORST, 5), 5));
}
