//! Runs and workflows over HTTP.

use serde_json::{Value, json};

use crate::place::Place;

const FLOW: &str = "\
name: flow
inputs: { type: object, required: [text], properties: { text: { type: string } } }
steps:
  one: { worker: echo, with: { said: '${{ inputs.text }}' } }
  two: { needs: [one], worker: echo, with: '${{ steps.one.output.said }}' }
outputs: { said: '${{ steps.two.output }}' }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_waited_for_and_looked_at() {
    let place = Place::new().await;
    let body = json!({ "source": FLOW, "inputs": { "text": "hello" } });
    let made = place.post("/api/v1/runs", body).await.json(201);
    assert_eq!(made, json!({ "id": "run_1", "state": "running" }));
    let run = place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    assert_eq!((&run["state"], &run["outputs"]), (&json!("succeeded"), &json!({ "said": "hello" })));
    let steps = place.get("/api/v1/runs/run_1/steps").await.json(200);
    assert_eq!(steps["steps"].as_array().unwrap().len(), 2);
    let journal = place.get("/api/v1/runs/run_1/journal").await.json(200);
    let entries = journal["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, run["seq"].as_u64().unwrap());
    assert!(entries.iter().enumerate().all(|(number, entry)| entry["seq"] == number), "{journal}");
    let rest = place.get("/api/v1/runs/run_1/journal?from=2&limit=1").await.json(200);
    assert_eq!((&rest["entries"][0], &rest["next"]), (&entries[2], &json!(3)));

    let versions = place.get("/api/v1/workflows/flow").await.json(200);
    assert_eq!(versions["versions"][0]["number"], 1);
    assert_eq!(place.get("/api/v1/workflows/flow/1").await.json(200)["source"], FLOW);
    place.get("/api/v1/workflows/flow/2").await.refused(404, "not_found", &[]);
    place.get("/api/v1/workflows/none").await.refused(404, "not_found", &[]);
    let again = json!({ "workflow": "flow", "inputs": { "text": "again" } });
    let made = place.post("/api/v1/runs", again).await.json(201);
    let run = place.get(&format!("/api/v1/runs/{}?wait_ms=20000", made["id"].as_str().unwrap())).await.json(200);
    assert_eq!(run["outputs"]["said"], "again");
    assert_eq!(place.get("/api/v1/runs?workflow=flow").await.json(200)["runs"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_run_is_told() {
    let place = Place::new().await;
    let wrong = [
        (json!({}), "workflow"),
        (json!({ "workflow": "none" }), "`none`"),
        (json!({ "workflow": "../token" }), "not a name"),
        (json!({ "source": FLOW, "workflow": "flow" }), "not both"),
        (json!({ "source": "name: a\nsteps: {}\nx: 1\n" }), "x"),
        (json!({ "source": FLOW, "inputs": {} }), "text"),
        (json!({ "source": FLOW, "inputs": { "text": "a" }, "strategy": "chaos" }), "`chaos`"),
    ];
    for (body, part) in wrong {
        place.post("/api/v1/runs", body).await.refused(422, "invalid_input", &[part]);
    }
    let unknown = "name: flow\nsteps:\n  one: { worker: ecoh }\n";
    let answer = place.post("/api/v1/runs", json!({ "source": unknown })).await;
    answer.refused(422, "unknown_worker", &["line 3", "step `one`", "`echo`"]);
    place.get("/api/v1/runs/run_1").await.refused(404, "not_found", &["run_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled() {
    let place = Place::new().await;
    let source = "name: flow\nsteps:\n  one: { worker: gate }\n";
    place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    place.post("/api/v1/runs/run_1/cancel", Value::Null).await.json(200);
    let run = place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    assert_eq!((&run["state"], &run["reason"]), (&json!("cancelled"), &json!("cancelled by token")));
    place.post("/api/v1/runs/run_1/cancel", Value::Null).await.refused(409, "conflict", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_says_so_and_starts_nothing() {
    let place = Place::new().await;
    let paused = place.post("/api/v1/queues/default/pause", Value::Null).await.json(200);
    assert_eq!(paused, json!({ "name": "default", "paused": true }));
    let id = place.submit("echo", json!({})).await;
    let task = place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
    assert_eq!((&task["state"], &task["reason"]), (&json!("ready"), &json!("queue `default` is paused")));
    let queues = place.get("/api/v1/queues").await.json(200);
    assert_eq!((&queues["queues"][0]["paused"], &queues["queues"][0]["ready"]), (&json!(true), &json!(1)));
    place.post("/api/v1/queues/default/resume", Value::Null).await.json(200);
    let task = place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
    assert_eq!(task["state"], "succeeded");
    place.post("/api/v1/queues/a%20b/pause", Value::Null).await.refused(422, "invalid_input", &[]);
}
