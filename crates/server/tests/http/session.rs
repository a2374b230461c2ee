//! The session log of a server.

use serde_json::{Value, json};

use crate::place::Place;

fn lines(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("session.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_and_every_event_is_one_line_in_order() {
    let place = Place::new().await;
    let host = place.post("/api/v1/hosts", json!({ "name": "h", "workers": ["far"] })).await.json(201);
    for (worker, count) in [("echo", 3), ("refuse", 1)] {
        for _ in 0..count {
            place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": worker })).await.json(201);
        }
    }
    let source = "name: flow\nsteps:\n  one: { worker: echo }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    place.get(&format!("/api/v1/runs/{}?wait_ms=20000", run["id"].as_str().unwrap())).await.json(200);
    place.ask("DELETE", &format!("/api/v1/hosts/{}", host["id"].as_str().unwrap()), Value::Null).await.json(200);
    let place = place.again().await;
    let found = lines(&place);
    let events: Vec<&str> = found.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let ended = ["task_ended"; 5];
    let expected = [["server_started", "host_joined"].as_slice(), &ended, &["host_left", "server_stopped"]].concat();
    assert_eq!(&events[..expected.len()], expected, "{found:?}");
    let outcomes: Vec<&str> = found.iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["succeeded", "succeeded", "succeeded", "failed", "succeeded"]);
    let failed = found.iter().find(|line| line["outcome"] == "failed").unwrap();
    assert_eq!((&failed["worker"], &failed["attempt"]), (&json!("refuse"), &json!(1)));
    assert!(failed["error"].as_str().unwrap().contains("never") && failed["time"].as_str().unwrap().ends_with('Z'));
    assert!(found.windows(2).all(|pair| pair[0]["seq"].as_u64() <= pair[1]["seq"].as_u64()));
}
