//! Worker descriptions from hosts, and labels.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};

use crate::place::{Place, Setup};

async fn host(place: &Place, body: Value) -> String {
    let made = place.post("/api/v1/hosts", body).await.json(201);
    format!("/api/v1/hosts/{}", made["id"].as_str().unwrap())
}

async fn claim(place: &Place, host: &str, wait_ms: u64) -> Vec<Value> {
    let claimed = place.post(&format!("{host}/claim"), json!({ "max_tasks": 10, "wait_ms": wait_ms })).await.json(200);
    claimed["tasks"].as_array().unwrap().clone()
}

async fn task(place: &Place, id: &str) -> Value {
    place.get(&format!("/api/v1/tasks/{id}")).await.json(200)
}

fn far() -> Value {
    json!({
        "name": "far",
        "queue": "gpu",
        "timeout_ms": 7_000,
        "retry": { "max_attempts": 7 },
        "input": { "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_tasks_are_as_the_host_said_also_after_a_restart() {
    let place = Place::new().await;
    let first = host(&place, json!({ "workers": [far()] })).await;
    place.ask("DELETE", &first, Value::Null).await.json(200);
    let place = place.again().await;

    // The worker is known though no host serves it now, and the answer says so.
    let id = place.submit("far", json!({ "n": 1 })).await;
    assert_eq!(task(&place, &id).await["reason"], "worker `far` is not served at the moment");
    let wrong = json!({ "worker": "far", "input": { "n": "x" } });
    place.post("/api/v1/tasks", wrong).await.refused(422, "invalid_input", &["input"]);
    place.post("/api/v1/tasks", json!({ "worker": "fra" })).await.refused(
        422,
        "unknown_worker",
        &["did you mean `far`?"],
    );
    let source = "name: flow\nsteps:\n  one: { worker: far, with: { n: 2 } }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let steps = format!("/api/v1/runs/{}/steps", run["id"].as_str().unwrap());
    let step = place.get(&steps).await.json(200)["steps"][0].clone();
    assert_eq!((&step["queue"], &step["state"]), (&json!("gpu"), &json!("ready")));

    let second = host(&place, json!({ "workers": ["far"], "queues": ["gpu"] })).await;
    // The worker's name alone does not end the claim.
    let claimed = claim(&place, &second, 20_000).await;
    assert_eq!(claimed.len(), 2, "{claimed:?}");
    assert!(claimed.iter().all(|task| task["timeout_ms"] == 7_000), "{claimed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_nobody_serves_any_more_can_be_forgotten() {
    let place = Place::new().await;
    let host = host(&place, json!({ "workers": ["far"] })).await;
    place.ask("DELETE", "/api/v1/workers/far", Value::Null).await.refused(409, "conflict", &["serves `far`"]);
    place.ask("DELETE", &host, Value::Null).await.json(200);
    let (other, _) = place.key("admin", 2).await;
    place.ask_as(&other, "DELETE", "/api/v1/workers/far", Value::Null).await.refused(404, "not_found", &[]);
    place.ask("DELETE", "/api/v1/workers/far", Value::Null).await.json(200);
    place.ask("DELETE", "/api/v1/workers/far", Value::Null).await.refused(404, "not_found", &[]);
    place.post("/api/v1/tasks", json!({ "worker": "far" })).await.refused(422, "unknown_worker", &[]);
    let place = place.again().await;
    place.post("/api/v1/tasks", json!({ "worker": "far" })).await.refused(422, "unknown_worker", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_host_with_the_labels_gets_a_task_that_requires_them() {
    let place = Place::new().await;
    let plain = host(&place, json!({ "workers": ["far"] })).await;
    let submit = async |requires: Value| {
        let made = place.post("/api/v1/tasks", json!({ "worker": "far", "requires": requires })).await.json(201);
        made["id"].as_str().unwrap().to_owned()
    };
    let (any, gpu, large) = (submit(json!([])).await, submit(json!(["gpu"])).await, submit(json!(["gpu=h100"])).await);
    let ids = |tasks: Vec<Value>| -> Vec<String> {
        tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(claim(&place, &plain, 20_000).await), [any]);
    let shown = task(&place, &gpu).await;
    assert_eq!(shown["requires"], json!(["gpu"]));
    assert_eq!(shown["reason"], "0 worker hosts that serve worker `far` have the labels that it requires: `gpu`");
    let warned = place.get("/api/v1/queues").await.json(200);
    assert_eq!(warned["queues"][0]["warnings"].as_array().unwrap().len(), 2, "{warned}");
    let small = host(&place, json!({ "workers": ["far"], "labels": { "gpu": "a100" } })).await;
    assert_eq!(ids(claim(&place, &small, 20_000).await), [gpu]);
    assert_eq!(claim(&place, &small, 0).await.len(), 0);
    let big = host(&place, json!({ "workers": ["far"], "labels": { "gpu": "h100" } })).await;
    assert_eq!(ids(claim(&place, &big, 20_000).await), [large]);

    // A worker may require them, a step may, and this process has none.
    let served = json!({ "name": "trainer", "requires": ["gpu"] });
    let both = host(&place, json!({ "workers": [served], "labels": { "gpu": "", "zone": "eu" } })).await;
    let source =
        "name: flow\nsteps:\n  one: { worker: trainer, requires: zone=eu }\n  two: { worker: echo, requires: [gpu] }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let claimed = claim(&place, &both, 20_000).await;
    assert_eq!(claimed.iter().map(|task| &task["step"]).collect::<Vec<_>>(), ["one"]);
    let steps = place.get(&format!("/api/v1/runs/{}/steps", run["id"].as_str().unwrap())).await.json(200);
    assert_eq!(steps["steps"][0]["requires"], json!(["gpu", "zone=eu"]));
    assert_eq!((&steps["steps"][1]["state"], &steps["steps"][1]["worker"]), (&json!("ready"), &json!("echo")));

    let bad = json!({ "worker": "far", "requires": ["a b"] });
    place.post("/api/v1/tasks", bad).await.refused(422, "invalid_input", &["requires", "`a b`"]);
    let bad = json!({ "workers": ["far"], "labels": { "a b": "" } });
    place.post("/api/v1/hosts", bad).await.refused(422, "invalid_input", &["labels"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_poll_wakes_for_what_it_may_have_alone() {
    let place = Place::new().await;
    let gpu = host(&place, json!({ "workers": ["far"], "labels": { "gpu": "" } })).await;
    let waiting = claim(&place, &gpu, 20_000);
    let submitting = place.post("/api/v1/tasks", json!({ "worker": "far", "requires": ["gpu"] }));
    let (claimed, _) = tokio::join!(waiting, submitting);
    assert_eq!(claimed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_an_attempt_is_over_although_its_host_beats_on() {
    let limits = Limits { lease: Duration::from_secs(60), ..Limits::default() };
    let place = Place::set_up(Setup { limits, config: "lease: 60s\n".to_owned(), ..Setup::default() }).await;
    let host = host(&place, json!({ "workers": ["far"] })).await;
    let body = json!({ "worker": "far", "timeout_ms": 100, "retry": { "max_attempts": 1 } });
    let id = place.post("/api/v1/tasks", body).await.json(201)["id"].as_str().unwrap().to_owned();
    let claimed = claim(&place, &host, 20_000).await.remove(0);
    let beat = json!({ "tasks": [{ "lease_token": claimed["lease_token"] }] });
    let answer = place.post(&format!("{host}/heartbeat"), beat.clone()).await.json(200);
    assert_eq!((&answer["cancel"], &answer["lease_ttl_ms"]), (&json!([]), &json!(60_000)));
    let ended = place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
    assert_eq!((&ended["state"], &ended["error"]["category"]), (&json!("failed"), &json!("timeout")), "{ended}");
    let answer = place.post(&format!("{host}/heartbeat"), beat).await.json(200);
    assert_eq!(answer["cancel"], json!([claimed["lease_token"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_tell_how_many_listen() {
    let place = Place::new().await;
    let listeners = async |name: &str| {
        let queues = place.get("/api/v1/queues").await.json(200);
        let queue = queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).cloned();
        queue.map_or(Value::Null, |queue| queue["listeners"].clone())
    };
    assert_eq!(listeners("default").await, 1);
    let host = host(&place, json!({ "workers": ["far"], "queues": ["default"] })).await;
    assert_eq!(listeners("default").await, 2);
    place.ask("DELETE", &host, Value::Null).await.json(200);
    assert_eq!(listeners("default").await, 1);
}
