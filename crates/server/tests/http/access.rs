//! Keys: made, used, revoked, guessed at; and the audit trail.

use kapelle_server::Limits;
use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_until_it_is_taken_back_and_survives_a_restart() {
    let place = Place::new().await;
    let (secret, id) = place.key("viewer", 1).await;
    assert_eq!(place.ask_as(&secret, "GET", "/api/v1/tasks", Value::Null).await.status, 200);
    let place = place.again().await;
    assert_eq!(place.ask_as(&secret, "GET", "/api/v1/tasks", Value::Null).await.status, 200);
    let listed = place.get("/api/v1/keys").await;
    assert!(listed.text().contains(&id) && !listed.text().contains(&secret));
    let revoked = place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    assert!(revoked["revoked_at"].is_string());
    place.ask_as(&secret, "GET", "/api/v1/tasks", Value::Null).await.refused(
        401,
        "unauthorized",
        &["revoked or expired"],
    );
    let place = place.again().await;
    place.ask_as(&secret, "GET", "/api/v1/tasks", Value::Null).await.refused(401, "unauthorized", &[]);
    place.ask("DELETE", "/api/v1/keys/key_none", Value::Null).await.refused(404, "not_found", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_key_is_stored_nowhere() {
    let place = Place::new().await;
    let (secret, _) = place.key("admin", 1).await;
    let folder = place.kapelle.folder().to_owned();
    place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "echo" })).await.json(201);
    for entry in std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{}", entry.path().display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_by_themselves_and_wrong_ones_are_not_made() {
    let place = Place::new().await;
    let made = place
        .post("/api/v1/keys", json!({ "name": "short", "role": "viewer", "expires_in_ms": 1_000 }))
        .await
        .json(201);
    let secret = made["secret"].as_str().unwrap();
    while place.ask_as(secret, "GET", "/api/v1/tasks", Value::Null).await.status == 200 {
        tokio::task::yield_now().await;
    }
    place.ask_as(secret, "GET", "/api/v1/tasks", Value::Null).await.refused(401, "unauthorized", &["expired"]);
    for body in [
        json!({ "name": "a", "role": "king" }),
        json!({ "name": "", "role": "viewer" }),
        json!({ "name": "a\u{7}", "role": "viewer" }),
        json!({ "name": "a", "role": "viewer", "tenant": 0 }),
        json!({ "name": "a", "role": "viewer", "more": 1 }),
    ] {
        place.post("/api/v1/keys", body).await.refused(422, "invalid_input", &[]);
    }
    let (admin, _) = place.key("admin", 2).await;
    let body = json!({ "name": "a", "role": "admin", "tenant": 1 });
    place.ask_as(&admin, "POST", "/api/v1/keys", body).await.refused(422, "invalid_input", &["first tenant"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait_and_who_knows_does_not() {
    let place = Place::with(Limits { failures_per_minute: 5, ..Limits::default() }).await;
    for _ in 0..5 {
        place.ask_as("kap_wrong", "GET", "/api/v1/tasks", Value::Null).await.refused(401, "unauthorized", &[]);
    }
    let answer = place.ask_as("kap_wrong", "GET", "/api/v1/tasks", Value::Null).await;
    answer.refused(429, "too_many", &[]);
    assert!(answer.headers["retry-after"].parse::<u32>().unwrap() <= 60);
    assert_eq!(place.get("/api/v1/tasks").await.status, 200);
    let token = &place.token;
    for wrong in [format!("Basic {token}"), format!("Bearer {token}x"), token.clone(), "Bearer ".to_owned()] {
        let answer = place.say("GET", "/api/v1/tasks", &[("authorization", &wrong)], b"").await;
        assert!([401, 429].contains(&answer.status), "{wrong}");
    }
    let twice = format!("Bearer {token}");
    let both = [("authorization", twice.as_str()), ("authorization", "Bearer x")];
    assert_ne!(place.say("GET", "/api/v1/tasks", &both, b"").await.status, 200);
    // Never in the path, where logs and histories keep it.
    assert_eq!(place.say("GET", &format!("/api/v1/tasks?token={token}"), &[], b"").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_are_written_down_with_who_did_them_and_the_chain_holds() {
    let place = Place::new().await;
    let (operator, id) = place.key("operator", 1).await;
    place.ask_as(&operator, "POST", "/api/v1/queues/ml/pause", Value::Null).await.json(200);
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    // A refused request is not recorded as done.
    place.post("/api/v1/tasks/task_9/cancel", Value::Null).await.refused(404, "not_found", &[]);
    let audit = place.get("/api/v1/audit").await.json(200);
    let shown: Vec<(&str, &str)> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["actor"].as_str().unwrap(), entry["action"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("token", "key.revoke"), (id.as_str(), "queue.pause"), ("token", "key.create")]);
    let rows = place.kapelle.engine().reader().audit_from(0, 100).unwrap();
    let mut head = None;
    for row in &rows {
        row.follows(head).unwrap();
        head = Some(row.head());
    }
    assert_eq!(rows.len(), 3);
}
