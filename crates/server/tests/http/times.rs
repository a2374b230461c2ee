//! Every accepted time has bounds, and every time in an answer can be parsed.

use serde_json::{Value, json};

use crate::place::Place;

/// A little more than a hundred years, in milliseconds.
const BEYOND: u64 = 101 * 366 * 86_400_000;

/// Checks that every text under a key that names a time is one.
fn times_can_be_read(answer: &Value) {
    match answer {
        Value::Object(fields) => {
            for (key, field) in fields {
                let time = key.ends_with("_at") || ["at", "until", "deadline"].contains(&key.as_str());
                if let (true, Some(text)) = (time, field.as_str()) {
                    assert!(text.parse::<jiff::Timestamp>().is_ok(), "{key}: {text}");
                }
                times_can_be_read(field);
            }
        }
        Value::Array(items) => items.iter().for_each(times_can_be_read),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_without_bounds_are_refused_and_those_at_the_bounds_are_answered_with_real_times() {
    let place = Place::new().await;
    for (body, part) in [
        (json!({ "delay_ms": BEYOND }), "delay_ms"),
        (json!({ "delay_ms": u64::MAX }), "delay_ms"),
        (json!({ "ttl_ms": 0 }), "ttl_ms"),
        (json!({ "ttl_ms": u64::MAX }), "ttl_ms"),
        (json!({ "timeout_ms": 0 }), "timeout_ms"),
        (json!({ "timeout_ms": BEYOND }), "timeout_ms"),
        (json!({ "deadline": "9999-12-31T23:59:59Z" }), "deadline"),
        (json!({ "deadline": "in a while" }), "deadline"),
        (json!({ "retry": { "delay_ms": u64::MAX } }), "retry.delay_ms"),
        (json!({ "retry": { "max_delay_ms": BEYOND } }), "retry.max_delay_ms"),
    ] {
        let mut task = json!({ "worker": "echo" });
        task.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        place.post("/api/v1/tasks", task.clone()).await.refused(422, "invalid_input", &[part]);
        place.post("/api/v1/tasks/batch", json!({ "tasks": [task] })).await.refused(422, "invalid_input", &[part]);
    }
    let host = place.post("/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let claim = format!("/api/v1/hosts/{}/claim", host["id"].as_str().unwrap());
    place.post(&claim, json!({ "wait_ms": 60_001 })).await.refused(422, "invalid_input", &["wait_ms"]);
    for field in ["timeout_ms", "retry"] {
        let long = if field == "retry" { json!({ "delay_ms": BEYOND }) } else { json!(BEYOND) };
        let body = json!({ "workers": [{ "name": "far", field: long }] });
        place.post("/api/v1/hosts", body).await.refused(422, "invalid_input", &[]);
    }
    for path in ["/api/v1/tasks/task_1", "/api/v1/runs/run_1"] {
        for wait in ["60001", "18446744073709551615", "99999999999999999999", "-1"] {
            place.get(&format!("{path}?wait_ms={wait}")).await.refused(400, "invalid_request", &[]);
        }
    }
    for span in ["40000d", "99999999999h", "18446744073709551615ms"] {
        for step in [
            format!("worker: echo, timeout: {span}"),
            format!("worker: echo, deadline: {span}"),
            format!("wait: {{ timer: {span} }}"),
            format!("wait: {{ approval: x, timeout: {span} }}"),
            format!("worker: echo, retry: {{ delay: {span} }}"),
        ] {
            let source = format!("name: long\nsteps:\n  a: {{ {step} }}\n");
            assert_eq!(place.post("/api/v1/runs", json!({ "source": source })).await.status, 422, "{source}");
        }
    }
    // At the bounds.
    let most = 100_u64 * 365 * 86_400_000;
    let task = json!({ "worker": "echo", "delay_ms": most, "ttl_ms": most, "timeout_ms": most });
    let made = place.post("/api/v1/tasks", task).await.json(201);
    let shown = place.get(&format!("/api/v1/tasks/{}", made["id"].as_str().unwrap())).await.json(200);
    times_can_be_read(&shown);
    let source = "name: long\nsteps:\n  a: { wait: { approval: x, timeout: 36500d } }\n";
    place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    for path in ["/api/v1/approvals", "/api/v1/tasks", "/api/v1/runs", "/api/v1/keys"] {
        times_can_be_read(&place.get(path).await.json(200));
    }
}
