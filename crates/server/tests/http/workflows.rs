//! Versions of workflows: published, compared, rolled back, deleted; and the export of a run.

use serde_json::{Value, json};

use crate::place::Place;

fn source(worker: &str) -> String {
    format!("name: flow\nsteps:\n  one: {{ worker: {worker} }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_published_compared_rolled_back_and_deleted() {
    let place = Place::new().await;
    let publish = async |text: String| place.post("/api/v1/workflows", json!({ "source": text })).await;
    assert_eq!(publish(source("echo")).await.json(201)["number"], 1);
    assert_eq!(publish(source("echo")).await.json(201)["number"], 1, "the same text is the same version");
    assert_eq!(publish(source("refuse")).await.json(201)["number"], 2);
    let diff = place.get("/api/v1/workflows/flow/diff").await.json(200);
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    assert!(diff["diff"].as_str().unwrap().contains("-  one: { worker: echo }\n+  one: { worker: refuse }"), "{diff}");
    let back = place.post("/api/v1/workflows/flow/rollback", json!({ "number": 1 })).await.json(201);
    assert_eq!(back["number"], 3);
    assert_eq!(place.get("/api/v1/workflows/flow/diff?from=1&to=3").await.json(200)["diff"], "");
    let run = place.post("/api/v1/runs", json!({ "workflow": "flow" })).await.json(201);
    let ended = place.get(&format!("/api/v1/runs/{}?wait_ms=20000", run["id"].as_str().unwrap())).await.json(200);
    assert_eq!(ended["state"], "succeeded");

    place.ask("DELETE", "/api/v1/workflows/flow/3", Value::Null).await.refused(409, "conflict", &["newest"]);
    place.ask("DELETE", "/api/v1/workflows/flow/2", Value::Null).await.json(200);
    place.ask("DELETE", "/api/v1/workflows/flow/2", Value::Null).await.refused(404, "not_found", &[]);
    place.ask("DELETE", "/api/v1/workflows/flow/x", Value::Null).await.refused(404, "not_found", &[]);
    publish("name: flow\nsteps: 3\n".to_owned()).await.refused(422, "invalid_input", &["steps"]);
    publish(String::new()).await.refused(422, "invalid_input", &[]);
    place.get("/api/v1/workflows/flow/diff?from=9").await.refused(422, "invalid_input", &["no version 9", "3, 1"]);
    place.get("/api/v1/workflows/flow/diff?from=x").await.refused(400, "invalid_request", &[]);
    place.get("/api/v1/workflows/none/diff").await.refused(404, "not_found", &["none"]);
    let rollback = |number: Value| place.post("/api/v1/workflows/flow/rollback", json!({ "number": number }));
    rollback(json!(9)).await.refused(422, "invalid_input", &["no version 9"]);
    rollback(json!("x")).await.refused(422, "invalid_input", &[]);
    let (other, _) = place.key("admin", 2).await;
    let theirs = place.ask_as(&other, "GET", "/api/v1/workflows/flow/diff", Value::Null).await;
    theirs.refused(404, "not_found", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_exported_as_a_whole() {
    let place = Place::new().await;
    let run = place.post("/api/v1/runs", json!({ "source": source("echo") })).await.json(201);
    let id = run["id"].as_str().unwrap();
    place.get(&format!("/api/v1/runs/{id}?wait_ms=20000")).await.json(200);
    let export = place.get(&format!("/api/v1/runs/{id}/export")).await;
    assert_eq!((export.status, export.headers["content-type"].as_str()), (200, "application/x-ndjson"));
    let journal = place.get(&format!("/api/v1/runs/{id}/journal")).await.json(200);
    // Sent in pieces: the lengths of the pieces stand between the lines.
    let text = export.text();
    let lines: Vec<Value> =
        text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((kinds("run").len(), &kinds("run")[0]["source"]), (1, &json!(source("echo"))));
    assert_eq!((kinds("step").len(), &kinds("step")[0]["step"]), (1, &json!("one")));
    let entries = journal["entries"].as_array().unwrap();
    assert_eq!(kinds("journal").len(), entries.len());
    assert_eq!(kinds("journal")[0]["event"], entries[0]["event"]);
    place.get("/api/v1/runs/run_99/export").await.refused(404, "not_found", &[]);
}
