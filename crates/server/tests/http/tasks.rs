//! Tasks over HTTP.

use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_and_its_answer_waited_for() {
    let place = Place::new().await;
    let made = place.post("/api/v1/tasks", json!({ "worker": "echo", "input": { "a": 1 } })).await;
    assert_eq!(made.headers["location"], "/api/v1/tasks/task_1");
    assert_eq!(made.json(201), json!({ "id": "task_1", "state": "ready", "attempt": 0 }));
    let task = place.get("/api/v1/tasks/task_1?wait_ms=20000").await;
    let shown = task.json(200);
    assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!((&shown["output"], &shown["error"]), (&json!({ "a": 1 }), &Value::Null));

    let bearer = format!("Bearer {}", place.token);
    let tag = task.headers["etag"].clone();
    let known = [("authorization", bearer.as_str()), ("if-none-match", tag.as_str())];
    let same = place.say("GET", "/api/v1/tasks/task_1", &known, b"").await;
    assert_eq!((same.status, same.body.len()), (304, 0));

    let at_once = json!({ "worker": "echo", "input": [2] });
    let done = place.post("/api/v1/tasks?wait_ms=20000", at_once).await.json(201);
    assert_eq!((&done["state"], &done["output"]), (&json!("succeeded"), &json!([2])));
    let failed = place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
    assert_eq!((&failed["state"], &failed["error"]["category"]), (&json!("failed"), &json!("invalid_input")));
    let open = place.post("/api/v1/tasks?wait_ms=1", json!({ "worker": "gate" })).await.json(201);
    assert!(open["state"] == "running" || open["state"] == "ready", "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_task_is_told_with_its_field() {
    let place = Place::new().await;
    let post = async |body: Value| place.post("/api/v1/tasks", body).await;
    post(json!({ "worker": "ecoh" })).await.refused(422, "unknown_worker", &["`ecoh`", "did you mean `echo`?"]);
    let wrong = [
        (json!({}), "worker"),
        (json!({ "worker": "a b" }), "worker: "),
        (json!({ "worker": "echo", "priority": 101 }), "priority: 101"),
        (json!({ "worker": "echo", "priority": 40_000 }), "i16"),
        (json!({ "worker": "echo", "unknown": 1 }), "unknown"),
        (json!({ "worker": "echo", "deadline": "tomorrow" }), "deadline: `tomorrow`"),
        (json!({ "worker": "echo", "delay_ms": u64::MAX }), "delay_ms"),
        (json!({ "worker": "echo", "ttl_ms": 0 }), "ttl_ms"),
        (json!({ "worker": "echo", "queue": "no such" }), "queue: "),
        (json!({ "worker": "echo", "retry": { "max_attempts": 0 } }), "retry.max_attempts"),
        (json!({ "worker": "echo", "retry": { "multiplier": 1e300 } }), "retry.multiplier"),
        (json!({ "worker": "echo", "retry": { "jitter": "some" } }), "retry.jitter"),
        (json!({ "worker": "echo", "retry": { "on": ["never"] } }), "retry.on: `never`"),
        (json!({ "worker": "summarizer", "input": { "text": 7 } }), "input: "),
        (json!([]), "body"),
    ];
    for (body, part) in wrong {
        post(body.clone()).await.refused(422, "invalid_input", &[part]);
    }
    assert_eq!(place.get("/api/v1/tasks").await.json(200)["tasks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_all_or_none() {
    let place = Place::new().await;
    let tasks: Vec<Value> = (0..500).map(|number| json!({ "worker": "echo", "input": number })).collect();
    let made = place.post("/api/v1/tasks/batch", json!({ "tasks": tasks })).await.json(201);
    assert_eq!((made["ids"][0].as_str(), made["ids"][499].as_str()), (Some("task_1"), Some("task_500")));
    for (id, number) in [("task_1", 0), ("task_500", 499)] {
        let task = place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
        assert_eq!(task["output"], json!(number));
    }
    let bad = json!({ "tasks": [{ "worker": "echo" }, { "worker": "none" }] });
    place.post("/api/v1/tasks/batch", bad).await.refused(422, "unknown_worker", &["tasks[1]: "]);
    place.post("/api/v1/tasks/batch", json!({ "tasks": [] })).await.refused(422, "invalid_input", &["tasks"]);
    place.get("/api/v1/tasks/task_501").await.refused(404, "not_found", &["task_501"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_task_of_a_batch_is_named() {
    let place = Place::new().await;
    let ask = async |tasks: Value| place.post("/api/v1/tasks/batch", json!({ "tasks": tasks })).await;
    let wrong = json!([{ "worker": "echo" }, { "worker": "ecko" }, { "worker": "echo", "priority": 101 },
        { "worker": "echo", "timeout_ms": 0 }]);
    let refusal = ask(wrong).await;
    refusal.refused(422, "unknown_worker", &["tasks[1]: ", "tasks[2]: priority: ", "tasks[3]: timeout_ms: "]);
    let problem = refusal.json(422);
    let told: Vec<(&Value, &Value, &Value)> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (&error["index"], &error["code"], &error["field"]))
        .collect();
    let invalid = json!("invalid_input");
    let expected = [
        (&json!(1), &json!("unknown_worker"), &Value::Null),
        (&json!(2), &invalid, &json!("priority")),
        (&json!(3), &invalid, &json!("timeout_ms")),
    ];
    assert_eq!(told, expected, "{problem}");
    assert_eq!(problem["errors_total"], 3);

    // Tasks that cannot be read are named with the others.
    let refusal = ask(json!([{ "worker": 7 }, { "worker": "echo" }, { "worker": "echo", "prio": 1 },
        { "worker": "echo", "priority": -101 }]))
    .await;
    refusal.refused(422, "invalid_input", &["tasks[0]: ", "expected a string", "tasks[2]: unknown field `prio`"]);
    let problem = refusal.json(422);
    assert_eq!(problem["errors_total"], 3, "{problem}");
    assert!(!problem["errors"][1]["detail"].as_str().unwrap().contains(" line "), "{problem}");
    let body = json!({ "tasks": [{ "worker": "echo" }], "task": 1 });
    place.post("/api/v1/tasks/batch", body).await.refused(422, "invalid_input", &["the body: ", "`task`"]);

    // The list is bounded, and so is the check.
    let problem = ask(vec![json!({ "worker": "none" }); 10_000].into()).await.json(422);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 20);
    assert_eq!(problem["errors_total"], 1_000);
    assert!(problem["detail"].as_str().unwrap().ends_with("and 997 more wrong tasks"), "{}", problem["detail"]);
    place.get("/api/v1/tasks/task_1").await.refused(404, "not_found", &["task_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_without_gaps() {
    let place = Place::new().await;
    let tasks: Vec<Value> = (0..25).map(|_| json!({ "worker": "echo" })).collect();
    place.post("/api/v1/tasks/batch", json!({ "tasks": tasks })).await.json(201);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = place.get(&format!("/api/v1/tasks?limit=10{cursor}")).await.json(200);
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<String> = (1..=25).rev().map(|number| format!("task_{number}")).collect();
    assert_eq!(seen, expected);
    for query in ["limit=0", "limit=x", "cursor=12", "state=done", "unknown=1", "queue=a%20b"] {
        place.get(&format!("/api/v1/tasks?{query}")).await.refused(400, "invalid_request", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_a_request_repeatable() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let say = async |key: &str, path: &str, body: Value| {
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
        place.say("POST", path, &headers, body.to_string().as_bytes()).await
    };
    let body = json!({ "worker": "echo", "input": 1 });
    let asking = (0..50).map(|_| say("k", "/api/v1/tasks", body.clone()));
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await);
    }
    assert!(answers.iter().all(|answer| answer.body == answers[0].body && answer.status == 201));
    say("k", "/api/v1/tasks", json!({ "worker": "echo", "input": 2 })).await.refused(
        422,
        "idempotency_key_reused",
        &["`k`"],
    );
    let batch = json!({ "tasks": [{ "worker": "echo" }] });
    say("k", "/api/v1/tasks/batch", batch).await.refused(422, "idempotency_key_reused", &[]);
    say("", "/api/v1/tasks", body).await.refused(400, "invalid_request", &["Idempotency-Key"]);
    assert_eq!(place.get("/api/v1/tasks").await.json(200)["tasks"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_cancelled_and_retried_by_hand() {
    let place = Place::new().await;
    let id = place.submit("gate", json!({})).await;
    let cancelled = place.post(&format!("/api/v1/tasks/{id}/cancel"), json!({ "reason": "enough" })).await.json(200);
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&json!("cancelled"), &json!("enough (by token)")));
    place.post(&format!("/api/v1/tasks/{id}/cancel"), Value::Null).await.refused(409, "conflict", &["already"]);
    let failed = place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
    let path = format!("/api/v1/tasks/{}/retry", failed["id"].as_str().unwrap());
    place.post(&path, Value::Null).await.json(200);
    let audit = place.get("/api/v1/audit").await.json(200);
    let actions: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["task.retry", "task.cancel"]);
}
