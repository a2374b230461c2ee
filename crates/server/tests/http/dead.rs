//! Dead letters over HTTP.

use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_put_back_and_discarded() {
    let place = Place::new().await;
    let failed = async || {
        let done = place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
        assert_eq!(done["state"], "failed");
        done["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (failed().await, failed().await);
    place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "echo" })).await.json(201);
    let ids = async |query: &str| -> Vec<String> {
        let listed = place.get(&format!("/api/v1/dead{query}")).await.json(200);
        listed["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await, [two.clone(), one.clone()]);
    assert_eq!(ids("?worker=echo").await, [] as [String; 0]);
    assert_eq!(ids("?limit=1").await, [two.clone()]);
    let kept = place.post(&format!("/api/v1/dead/{one}/discard"), json!({ "reason": "seen" })).await.json(200);
    assert_eq!((&kept["state"], &kept["error"]["message"]), (&json!("discarded"), &json!("never")));
    assert!(kept["reason"].as_str().unwrap().starts_with("seen"), "{kept}");
    assert_eq!(ids("").await, [two.clone()]);
    let back = place.post(&format!("/api/v1/dead/{two}/retry"), Value::Null).await.json(200);
    assert_ne!(back["state"], "discarded");
    let again = place.get(&format!("/api/v1/tasks/{two}?wait_ms=20000")).await.json(200);
    assert_eq!((&again["state"], &again["attempt"]), (&json!("failed"), &json!(2)));

    let done = place.submit("echo", json!({})).await;
    place.get(&format!("/api/v1/tasks/{done}?wait_ms=20000")).await.json(200);
    for verb in ["retry", "discard"] {
        place.post(&format!("/api/v1/dead/{done}/{verb}"), Value::Null).await.refused(409, "conflict", &[&done]);
        place.post(&format!("/api/v1/dead/task_99/{verb}"), Value::Null).await.refused(404, "not_found", &[]);
        place.post(&format!("/api/v1/dead/x/{verb}"), Value::Null).await.refused(404, "not_found", &[]);
    }
    place.get("/api/v1/dead?state=failed").await.refused(400, "invalid_request", &[]);
    let acts = place.get("/api/v1/audit").await.json(200);
    let acts: Vec<&str> =
        acts["entries"].as_array().unwrap().iter().map(|act| act["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["dead.retry", "dead.discard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_no_dead_letter() {
    let place = Place::new().await;
    let source = "name: flow\nsteps:\n  one: { worker: refuse }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let run = run["id"].as_str().unwrap();
    place.get(&format!("/api/v1/runs/{run}?wait_ms=20000")).await.json(200);
    let steps = place.get(&format!("/api/v1/runs/{run}/steps")).await.json(200);
    let step = steps["steps"][0]["id"].as_str().unwrap();
    assert_eq!(place.get("/api/v1/dead").await.json(200)["tasks"], json!([]));
    place.post(&format!("/api/v1/dead/{step}/retry"), Value::Null).await.refused(409, "conflict", &["/rerun"]);
}
