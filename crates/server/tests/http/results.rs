//! Streams of results.

use serde_json::{Value, json};

use crate::{lines::JsonLines, place::Place};

const NONE: &[&str] = &[];

async fn open(place: &Place, tasks: &[&str]) -> (JsonLines, String, Value) {
    let (lines, first) = JsonLines::open(place, &place.token, "/api/v1/results", &json!({ "tasks": tasks })).await;
    let stream = first["stream"].as_str().unwrap().to_owned();
    (lines, stream, first)
}

async fn result(lines: &mut JsonLines) -> Value {
    lines.told().await.unwrap()["task"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_of_many_tasks_come_once_each_on_one_stream() {
    let place = Place::new().await;
    let before = place.submit("echo", json!({ "n": 0 })).await;
    let failed = place.submit("refuse", json!({})).await;
    let (mut lines, stream, first) = open(&place, &[before.as_str(), &failed, &before, "task_999", "nonsense"]).await;
    assert_eq!(first["missing"], json!(["nonsense", "task_999"]));
    let mut seen = [result(&mut lines).await, result(&mut lines).await];
    seen.sort_by_key(|task| task["id"].to_string());
    assert_eq!((&seen[0]["id"], &seen[0]["output"]), (&json!(before), &json!({ "n": 0 })));
    assert_eq!((&seen[1]["state"], &seen[1]["error"]["message"]), (&json!("failed"), &json!("never")));
    // Tasks of a batch that names the stream, and of a single submit; the gate holds one until it is opened.
    let batch = json!({ "tasks": [{ "worker": "echo", "input": 1 }, { "worker": "gate", "input": 2 }] });
    let made = place.post(&format!("/api/v1/tasks/batch?results={stream}"), batch).await.json(201);
    let single = json!({ "worker": "echo", "input": 3 });
    let single = place.post(&format!("/api/v1/tasks?results={stream}"), single).await.json(201)["id"].clone();
    let mut quick = [result(&mut lines).await["id"].clone(), result(&mut lines).await["id"].clone()];
    quick.sort_by_key(ToString::to_string);
    assert_eq!(quick, [made["ids"][0].clone(), single]);
    let change = json!({ "tasks": ["task_998"] });
    let changed = place.post(&format!("/api/v1/results/{stream}"), change).await.json(200);
    assert_eq!(changed, json!({ "open": 1, "missing": ["task_998"] }));
    place.gate.notify_one();
    let last = result(&mut lines).await;
    assert_eq!((&last["id"], &last["output"]), (&made["ids"][1], &json!(2)));
    // Waited for again, an ended task is told again.
    place.post(&format!("/api/v1/results/{stream}"), json!({ "tasks": [before] })).await.json(200);
    assert_eq!(result(&mut lines).await["id"], json!(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_submit_with_a_key_tells_its_end_to_the_stream_that_it_names() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let headers = [("idempotency-key", "k1"), ("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "worker": "echo", "input": 5 }).to_string();
    let made = place.say("POST", "/api/v1/tasks?wait_ms=20000", &headers, body.as_bytes()).await.json(201);
    let (mut lines, stream, _) = open(&place, NONE).await;
    let path = format!("/api/v1/tasks?results={stream}");
    let again = place.say("POST", &path, &headers, body.as_bytes()).await.json(201);
    assert_eq!(again["id"], made["id"]);
    assert_eq!(result(&mut lines).await["id"], made["id"]);
    // A stream that is not open is no reason to refuse a submit.
    let other = place.post("/api/v1/tasks?results=r_none", json!({ "worker": "echo" })).await.json(201);
    place.post(&format!("/api/v1/results/{stream}"), json!({ "tasks": [other["id"]] })).await.json(200);
    assert_eq!(result(&mut lines).await["id"], other["id"]);
    let both = format!("/api/v1/tasks?results={stream}&wait_ms=5");
    place.post(&both, json!({ "worker": "echo" })).await.refused(400, "invalid_request", &["wait_ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_results_belongs_to_its_key_and_ends_with_it() {
    let place = Place::new().await;
    let ours = place.submit("gate", json!({})).await;
    let (key, id) = place.key("developer", 1).await;
    let (other, _) = place.key("developer", 1).await;
    let (foreign, _) = place.key("admin", 2).await;
    let (mut lines, first) = JsonLines::open(&place, &key, "/api/v1/results", &json!({ "tasks": [ours] })).await;
    let path = format!("/api/v1/results/{}", first["stream"].as_str().unwrap());
    for secret in [&other, &foreign, &place.token] {
        place.ask_as(secret, "POST", &path, json!({})).await.refused(404, "not_found", &[]);
    }
    // A task of another tenant does not exist.
    let (_, first) = JsonLines::open(&place, &foreign, "/api/v1/results", &json!({ "tasks": [ours] })).await;
    assert_eq!(first["missing"], json!([ours]));
    place.ask_as(&key, "POST", &path, json!({ "forget": [ours] })).await.json(200);
    place.gate.notify_one();
    place.get(&format!("/api/v1/tasks/{ours}?wait_ms=20000")).await.json(200);
    let mine = place.ask_as(&key, "POST", "/api/v1/tasks", json!({ "worker": "echo" })).await.json(201);
    place.ask_as(&key, "POST", &path, json!({ "tasks": [mine["id"]] })).await.json(200);
    assert_eq!(result(&mut lines).await["id"], mine["id"], "the forgotten one is not told");
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    assert_eq!(lines.told().await.unwrap(), json!({ "end": "revoked" }));
    assert_eq!(lines.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_waits_for_so_many_tasks_and_ends_with_the_server() {
    let mut place = Place::new().await;
    let (mut lines, stream, _) = open(&place, NONE).await;
    let path = format!("/api/v1/results/{stream}");
    let many: Vec<String> = (1..=10_001).map(|n| format!("task_{n}")).collect();
    place.post(&path, json!({ "tasks": many })).await.refused(422, "invalid_input", &["10000"]);
    // Ids of no task take no room.
    for _ in 0..2 {
        let changed = place.post(&path, json!({ "tasks": many[..10_000] })).await.json(200);
        assert_eq!((&changed["open"], changed["missing"].as_array().unwrap().len()), (&json!(0), 10_000));
    }
    place.server.drain().await;
    assert_eq!(lines.told().await.unwrap(), json!({ "end": "stopping" }));
    assert_eq!(lines.next().await, None);
}
