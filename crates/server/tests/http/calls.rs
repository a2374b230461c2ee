//! A call whose provider fails or is slow: it is answered in time, and charged once.

use std::time::Duration;

use kapelle_server::Limits;
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::place::{Answer, Place, Setup};

/// Worst-case cost of a call at a dollar for a million tokens received, with `max_tokens: 100`.
const WORST: u64 = 100_000;
/// Its cost when it is answered.
const COST: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with two providers, of which the first follows the test's orders and the second answers.
struct Stage {
    place: Place,
    first: ScriptedOpenai,
    second: ScriptedOpenai,
    host: String,
}

impl Stage {
    async fn with(first: &str, second: &str) -> Stage {
        let double = async |rules: &str| {
            ScriptedOpenai::start(Script::from_yaml(&format!("rules: {rules}")).unwrap()).await.unwrap()
        };
        let (first, second) = (double(first).await, double(second).await);
        let config = format!(
            "providers:\n  a: {{ kind: compatible, base_url: '{}' }}\n  b: {{ kind: compatible, base_url: '{}' }}\n\
             models: {{ fast: {{ chain: [a/x, b/y] }} }}\n\
             prices: {{ 'a/*': {{ input: $0, output: $1 }}, 'b/*': {{ input: $0, output: $1 }} }}\n",
            first.base_url(),
            second.base_url()
        );
        let limits = Limits { failures_per_minute: 1_000, ..Limits::default() };
        let place = Place::set_up(Setup { limits, config, ..Setup::default() }).await;
        let made = place.post("/api/v1/hosts", json!({ "workers": ["far"], "slots": 4 })).await.json(201);
        let host = format!("/api/v1/hosts/{}", made["id"].as_str().unwrap());
        Stage { place, first, second, host }
    }

    /// Returns the id of a running task, and the token of its attempt.
    async fn task(&self, more: Value) -> (String, String) {
        let mut body = json!({ "worker": "far", "input": {} });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.place.post("/api/v1/tasks", body).await.json(201);
        let claim = json!({ "max_tasks": 1, "wait_ms": 20_000 });
        let claimed = self.place.post(&format!("{}/claim", self.host), claim).await.json(200);
        let token = claimed["tasks"][0]["gateway_token"].as_str().unwrap();
        (made["id"].as_str().unwrap().to_owned(), token.to_owned())
    }

    async fn chat(&self, token: &str, stream: bool) -> Answer {
        let message = json!({ "role": "user", "content": "hi" });
        let body = json!({ "model": "fast", "max_tokens": 100, "stream": stream, "messages": [message] });
        let asking = self.place.ask_as(token, "POST", "/v1/chat/completions", body);
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("the call hangs"))
    }

    /// Returns the calls in the ledger once `count` are settled: provider, state and cost.
    async fn settled(&self, count: usize) -> Vec<(String, String, u64)> {
        let looking = async {
            loop {
                let page = self.place.get("/api/v1/calls").await.json(200);
                let calls = page["calls"].as_array().unwrap();
                let open = calls.iter().filter(|call| call["state"] == "open").count();
                if open == 0 && calls.len() >= count {
                    let text = |call: &Value, name: &str| call[name].as_str().unwrap_or("").to_owned();
                    let row = |call: &Value| {
                        (text(call, "provider"), text(call, "state"), call["cost_nanousd"].as_u64().unwrap_or(0))
                    };
                    return calls.iter().rev().map(row).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("the books are not settled"))
    }
}

const ANSWERS: &str = "[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 20 } }]";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_second_provider_answers_is_paid_once_and_the_first_is_asked_once() {
    for (rule, lost) in [
        ("{ status: 500 }", 0),
        ("{ status: 429 }", 0),
        ("{ status: 429, headers: { retry-after: '30' } }", 0),
        ("{ reset: true }", WORST),
        ("{ hang: true }", WORST),
    ] {
        for stream in [false, true] {
            let stage = Stage::with(&format!("[{rule}]"), ANSWERS).await;
            let (_, token) = stage.task(json!({ "timeout_ms": 4_000 })).await;
            let answer = stage.chat(&token, stream).await;
            assert_eq!((answer.status, answer.headers["x-kapelle-provider"].as_str()), (200, "b"), "{rule}");
            assert!(answer.headers.contains_key("x-kapelle-degraded"), "{rule}");
            let calls = stage.settled(2).await;
            // A call that the provider never answered may have been charged there: it is charged at its worst case,
            // once, and marked as unknown.
            let state = if lost > 0 { "unknown" } else { "free" };
            let of = |provider: &str| calls.iter().find(|call| call.0 == provider).unwrap().clone();
            assert_eq!(calls.len(), 2, "{rule}: {calls:?}");
            assert_eq!((of("a").1.as_str(), of("a").2), (state, lost), "{rule} {stream}");
            assert_eq!((of("b").1.as_str(), of("b").2), ("charged", COST), "{rule} {stream}");
            assert_eq!((stage.first.calls().len(), stage.second.calls().len()), (1, 1), "{rule}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_a_provider_asks_for_is_kept() {
    let stage = Stage::with("[{ status: 429, headers: { retry-after: '3600' } }]", ANSWERS).await;
    let (_, token) = stage.task(json!({})).await;
    for _ in 0..5 {
        assert_eq!(stage.chat(&token, false).await.headers["x-kapelle-provider"], "b");
    }
    assert_eq!((stage.first.calls().len(), stage.second.calls().len()), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept_whatever_the_providers_do() {
    for stream in [false, true] {
        let stage = Stage::with("[{ hang: true }]", "[{ hang: true }]").await;
        let (_, token) = stage.task(json!({ "timeout_ms": 1_000 })).await;
        let begun = Instant::now();
        let answer = stage.chat(&token, stream).await;
        // The attempt may end at that moment: then its token does too.
        assert!([504, 401].contains(&answer.status), "{}: {}", answer.status, answer.text());
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let calls = stage.settled(1).await;
        assert!(calls.iter().all(|call| call.1 == "unknown" && call.2 == WORST), "{calls:?}");
        assert!(calls.len() <= 2, "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_task_cuts_its_call_upstream() {
    let stage = Stage::with("[{ reply: a long enough answer, events_hang: 2 }]", "[]").await;
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let deadline = jiff::Timestamp::from_millisecond(now + 2_000).unwrap().to_string();
    let (id, token) = stage.task(json!({ "deadline": deadline })).await;
    let answer = stage.chat(&token, true).await;
    assert!(answer.text().contains("error") || answer.status == 401, "{}", answer.text());
    timeout(PATIENCE, stage.first.left(1)).await.expect("the upstream is closed");
    assert_eq!(stage.chat(&token, false).await.status, 401, "the token has ended with the attempt");
    let task = stage.place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
    assert_ne!(task["state"], "succeeded", "{task}");
    let calls = stage.settled(1).await;
    assert!(calls.len() == 1 && calls[0].2 > 0 && calls[0].2 <= WORST, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_tells_its_circuit_its_last_minutes_and_its_last_error() {
    let stage = Stage::with("[{ times: 1, reply: hello }, { status: 500 }]", "[]").await;
    let report = || async { stage.place.get("/api/v1/providers").await.json(200) };
    let model = |report: &Value| {
        let provider = report["providers"].as_array().unwrap().iter().find(|one| one["name"] == "a").unwrap();
        provider["models"].as_array().unwrap().iter().find(|one| one["model"] == "x").cloned()
    };
    let fresh = model(&report().await).unwrap();
    assert_eq!((&fresh["circuit"], &fresh["last_error"]), (&json!("closed"), &json!(null)), "{fresh}");
    let ask = |text: String| {
        let body = json!({ "model": "a/x", "messages": [{ "role": "user", "content": text }] });
        async { stage.place.post("/v1/chat/completions", body).await }
    };
    ask("first".to_owned()).await.json(200);
    for number in 0..5 {
        ask(format!("again {number}")).await;
    }
    let told = model(&report().await).unwrap();
    let counts = ["recent_answered", "recent_failed", "recent_refused"].map(|name| told[name].as_u64().unwrap());
    assert_eq!((counts, &told["circuit"]), ([1, 5, 0], &json!("open")), "{told}");
    assert!(told["opens_in_ms"].as_u64().unwrap() > 0 && told["failures_in_row"] == 5, "{told}");
    let error = &told["last_error"];
    assert!(error["message"].as_str().unwrap().contains("500") && error["category"].is_string(), "{told}");
}
