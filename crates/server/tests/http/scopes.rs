//! Restrictions of keys, and what ends when a key is revoked.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Answer, Place};

/// Time within which everything that waits with a key ends when the key is revoked.
const ENDS: Duration = Duration::from_secs(5);

async fn made(place: &Place, more: Value) -> (String, String) {
    let mut body = json!({ "name": "w", "role": "worker" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = place.post("/api/v1/keys", body).await.json(201);
    (made["secret"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

async fn register(place: &Place, key: &str, body: Value) -> Answer {
    place.ask_as(key, "POST", "/api/v1/hosts", body).await
}

async fn host(place: &Place, key: &str, body: Value) -> String {
    format!("/api/v1/hosts/{}", register(place, key, body).await.json(201)["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_key_serves_the_workers_that_it_names_and_no_worker_of_the_server_without_being_named() {
    let place = Place::new().await;
    let (plain, _) = made(&place, json!({})).await;
    let (named, _) = made(&place, json!({ "workers": ["echo", "far"], "queues": ["gpu"] })).await;
    let (every, _) = made(&place, json!({ "workers": ["*"] })).await;
    for (key, workers, status) in [
        (&plain, json!(["far"]), 201),
        (&plain, json!(["echo"]), 403),
        (&plain, json!(["far", "sleep"]), 403),
        (&plain, json!([{ "name": "summarizer" }]), 403),
        (&named, json!(["far"]), 201),
        (&named, json!(["echo"]), 201),
        (&named, json!(["sleep"]), 403),
        (&named, json!(["other"]), 403),
        (&every, json!(["echo", "sleep", "other"]), 201),
        (&place.token, json!(["echo", "sleep"]), 201),
    ] {
        let answer = register(&place, key, json!({ "workers": workers })).await;
        assert_eq!(answer.status, status, "{workers}: {}", answer.text());
    }
    let some = register(&place, &plain, json!({ "workers": ["far", "sleep"], "partial": true })).await.json(201);
    assert_eq!(some["left_out"], json!(["sleep"]));
    register(&place, &plain, json!({ "workers": ["sleep"], "partial": true })).await.refused(
        403,
        "forbidden",
        &["`sleep`"],
    );
    let body = json!({ "workers": ["far"], "queues": ["default"] });
    register(&place, &named, body).await.refused(403, "forbidden", &["`default`", "gpu"]);
    // Without queues of its own the host has those of its key, and not all.
    let host = host(&place, &named, json!({ "workers": ["far"] })).await;
    place.post("/api/v1/tasks", json!({ "worker": "far" })).await.json(201);
    let gpu = place.post("/api/v1/tasks", json!({ "worker": "far", "queue": "gpu" })).await.json(201);
    let body = json!({ "max_tasks": 9, "wait_ms": 20_000 });
    let claimed = place.ask_as(&named, "POST", &format!("{host}/claim"), body).await.json(200);
    let ids: Vec<&Value> = claimed["tasks"].as_array().unwrap().iter().map(|task| &task["id"]).collect();
    assert_eq!(ids, [&gpu["id"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_role_of_a_key_is_refused() {
    let place = Place::new().await;
    for (body, part) in [
        (json!({ "role": "developer", "workers": ["a"] }), "workers: only for the role worker"),
        (json!({ "role": "viewer", "queues": ["a"] }), "queues: only"),
        (json!({ "role": "operator", "ask": true }), "ask: only"),
        (json!({ "role": "viewer", "submit": true }), "submit: only for the role worker"),
        (json!({ "role": "worker", "approve": true }), "approve: only for the role developer or viewer"),
        (json!({ "role": "worker", "workers": [] }), "workers: 0 names"),
        (json!({ "role": "worker", "workers": ["a b"] }), "workers"),
        (json!({ "role": "worker", "workers": ["a*"] }), "workers"),
        (json!({ "role": "worker", "limit_nanousd": -1 }), "the body"),
        (json!({ "role": "worker", "limit_nanousd": u64::MAX }), "limit_nanousd"),
        (json!({ "role": "viewer", "expires_in_ms": 0 }), "expires_in_ms: 0; expected 1000 to"),
        (json!({ "role": "viewer", "expires_in_ms": 999 }), "expires_in_ms"),
        (json!({ "role": "viewer", "expires_in_ms": u64::MAX }), "expires_in_ms"),
        (json!({ "role": "viewer", "expires_in_ms": i64::MAX }), "expires_in_ms"),
    ] {
        let mut whole = json!({ "name": "k" });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        place.post("/api/v1/keys", whole).await.refused(422, "invalid_input", &[part]);
    }
    let century = json!({ "name": "k", "role": "viewer", "expires_in_ms": 100_u64 * 365 * 86_400_000 });
    let made = place.post("/api/v1/keys", century).await.json(201);
    assert!(made["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_keys_ask_no_models_unless_they_may_and_a_limit_is_a_budget() {
    let place = Place::new().await;
    let (plain, _) = made(&place, json!({})).await;
    let (asks, _) = made(&place, json!({ "ask": true })).await;
    let (limited, id) = made(&place, json!({ "limit_nanousd": 5_000 })).await;
    for (key, status) in [(&plain, 403), (&asks, 200), (&limited, 200)] {
        assert_eq!(place.ask_as(key, "GET", "/v1/models", Value::Null).await.status, status);
    }
    let budgets = place.get("/api/v1/budgets").await.json(200);
    let account = format!("key:{id}");
    let limit = budgets["budgets"].as_array().unwrap().iter().find(|row| row["account"] == account.as_str());
    assert_eq!(limit.unwrap()["limit_nanousd"], 5_000, "{budgets}");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_keys_submit_and_see_nothing_unless_they_may() {
    let place = Place::new().await;
    let (plain, _) = made(&place, json!({})).await;
    let (submits, id) = made(&place, json!({ "submit": true })).await;
    let keys = place.get("/api/v1/keys").await.json(200);
    let shown = keys["keys"].as_array().unwrap().iter().find(|key| key["id"] == id.as_str()).unwrap();
    assert_eq!(shown["submit"], true);
    let body = json!({ "worker": "echo", "input": 1 });
    place.ask_as(&plain, "POST", "/api/v1/tasks", body.clone()).await.refused(403, "forbidden", &["worker"]);
    let task = place.ask_as(&submits, "POST", "/api/v1/tasks?wait_ms=20000", body).await.json(201);
    assert_eq!(task["state"], "succeeded");
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(place.ask_as(&submits, "GET", &path, Value::Null).await.status, 200);
    assert_eq!(place.ask_as(&plain, "GET", &path, Value::Null).await.status, 403);
    // Nothing else is added to the role.
    for path in ["/api/v1/audit", "/api/v1/keys"] {
        assert_eq!(place.ask_as(&submits, "GET", path, Value::Null).await.status, 403, "{path}");
    }
    let retry = format!("{path}/retry");
    assert_eq!(place.ask_as(&submits, "POST", &retry, Value::Null).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_registers_a_worker_with_a_limit_for_each_key() {
    let place = Place::new().await;
    let wrong = json!({ "workers": [{ "name": "far", "per_key": { "limit": 0 } }] });
    register(&place, &place.token, wrong).await.refused(422, "invalid_input", &["workers.per_key.limit of far: 0"]);
    let odd = json!({ "workers": [{ "name": "far", "per_key": { "limit": 1, "when_full": "explode" } }] });
    assert_eq!(register(&place, &place.token, odd).await.status, 422);
    let body = json!({ "workers": [{ "name": "far", "per_key": { "limit": 1 } }], "slots": 4 });
    let host = host(&place, &place.token, body).await;
    let mut ids = Vec::new();
    for key in ["a", "a", "b"] {
        let task = place.post("/api/v1/tasks", json!({ "worker": "far", "key": key })).await.json(201);
        ids.push(task["id"].clone());
    }
    let claim = json!({ "max_tasks": 4, "wait_ms": 20_000 });
    let claimed = place.post(&format!("{host}/claim"), claim.clone()).await.json(200);
    let of = |claimed: &Value| -> Vec<Value> {
        claimed["tasks"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect()
    };
    assert_eq!(of(&claimed), [ids[0].clone(), ids[2].clone()]);
    let token = claimed["tasks"][0]["lease_token"].clone();
    let report = json!({ "reports": [{ "lease_token": token, "outcome": "succeed", "output": 1 }] });
    place.post(&format!("{host}/report"), report).await.json(200);
    assert_eq!(of(&place.post(&format!("{host}/claim"), claim).await.json(200)), [ids[1].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_registers_a_worker_with_a_rate_and_a_task_says_that_it_waits_for_it() {
    let place = Place::new().await;
    let wrong = json!({ "workers": [{ "name": "far", "rate": "often" }] });
    let parts = ["workers.rate of far: `often` is not a rate", "such as 60/minute"];
    register(&place, &place.token, wrong).await.refused(422, "invalid_input", &parts);
    let host = host(&place, &place.token, json!({ "workers": [{ "name": "far", "rate": "2/h" }], "slots": 4 })).await;
    let listed = place.get("/api/v1/workers").await.json(200);
    let far = listed["workers"].as_array().unwrap().iter().find(|worker| worker["name"] == "far").unwrap();
    assert_eq!(far["rate"], "2/hour");
    let mut last = Value::Null;
    for _ in 0..3 {
        last = place.post("/api/v1/tasks", json!({ "worker": "far" })).await.json(201)["id"].clone();
    }
    let claim = json!({ "max_tasks": 4, "wait_ms": 20_000 });
    let claimed = place.post(&format!("{host}/claim"), claim).await.json(200);
    assert_eq!(claimed["tasks"].as_array().unwrap().len(), 2, "{claimed}");
    let why = place.get(&format!("/api/v1/tasks/{}/explain", last.as_str().unwrap())).await.json(200);
    let reason = &why["steps"][0];
    assert_eq!((&reason["waiting"]["for"], &reason["waiting"]["rate"]), (&json!("worker_rate"), &json!("2/hour")));
    assert!(reason["why"].as_str().unwrap().starts_with("the rate of worker `far` (2/hour) is used up for"), "{why}");
    assert!(reason["lift"].as_str().unwrap().starts_with("it begins by itself in "), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_belongs_to_its_key_and_its_id_cannot_be_guessed() {
    let place = Place::new().await;
    let (one, _) = made(&place, json!({})).await;
    let (other, _) = made(&place, json!({})).await;
    let (admin, _) = place.key("admin", 1).await;
    let host = host(&place, &one, json!({ "workers": ["far"] })).await;
    let (number, mark) = host.rsplit_once('_').unwrap();
    assert!(mark.len() == 16 && mark != "0000000000000000", "{host}");
    for (key, host) in
        [(&other, host.as_str()), (&admin, &host), (&one, number), (&one, &format!("{number}_0000000000000000"))]
    {
        for (what, body) in
            [("/claim", json!({})), ("/heartbeat", json!({ "tasks": [] })), ("/ack", json!({ "lease_tokens": [] }))]
        {
            place.ask_as(key, "POST", &format!("{host}{what}"), body).await.refused(404, "not_found", &[]);
        }
        place.ask_as(key, "DELETE", host, Value::Null).await.refused(404, "not_found", &[]);
    }
    place.ask_as(&one, "POST", &format!("{host}/claim"), json!({})).await.json(200);
    place.ask_as(&one, "DELETE", &host, Value::Null).await.json(200);
}

/// Asks with a key, revokes it while the answer is awaited, and returns the answer.
#[expect(clippy::disallowed_methods, reason = "the promise is one of real time")]
async fn revoked_meanwhile(place: &Place, key: (&str, &str), method: &str, path: &str, body: Value) -> Answer {
    let (secret, id) = key;
    let asking = place.ask_as(secret, method, path, body);
    let revoking = async {
        // The request waits at the server before its key is revoked: a request that is sent later is answered first.
        for _ in 0..20 {
            place.get("/api/v1/keys").await.json(200);
        }
        place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
        Instant::now()
    };
    let (answer, revoked) = tokio::join!(asking, revoking);
    assert!(revoked.elapsed() < ENDS, "{path} went on for {:?}", revoked.elapsed());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_with_a_key_ends_when_it_is_revoked() {
    let place = Place::new().await;
    let gated = place.submit("gate", json!({})).await;
    let source = "name: flow\nsteps:\n  one: { wait: { signal: go } }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let task = format!("/api/v1/tasks/{gated}?wait_ms=60000");
    let run = format!("/api/v1/runs/{}?wait_ms=60000", run["id"].as_str().unwrap());
    for (method, path, body) in [
        ("GET", task.as_str(), Value::Null),
        ("GET", &run, Value::Null),
        ("POST", "/api/v1/tasks?wait_ms=60000", json!({ "worker": "gate" })),
    ] {
        let (secret, id) = place.key("developer", 1).await;
        let answer = revoked_meanwhile(&place, (&secret, &id), method, path, body).await;
        answer.refused(401, "unauthorized", &["revoked"]);
    }
    let (secret, id) = place.key("viewer", 1).await;
    let answer = revoked_meanwhile(&place, (&secret, &id), "GET", "/api/v1/events", Value::Null).await;
    assert_eq!(answer.status, 200, "the stream has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_key_is_revoked_is_given_nothing_and_keeps_nothing() {
    let place = Place::new().await;
    let (secret, id) = made(&place, json!({})).await;
    let first = host(&place, &secret, json!({ "workers": ["far"] })).await;
    let held = place.submit("far", json!({})).await;
    let body = json!({ "wait_ms": 20_000 });
    let claimed = place.ask_as(&secret, "POST", &format!("{first}/claim"), body).await.json(200);
    let token = claimed["tasks"][0]["gateway_token"].as_str().unwrap().to_owned();
    assert_eq!(place.ask_as(&token, "GET", "/v1/models", Value::Null).await.status, 200);
    let waits = json!({ "wait_ms": 60_000 });
    let path = format!("{first}/claim");
    let answer = revoked_meanwhile(&place, (&secret, &id), "POST", &path, waits).await;
    answer.refused(401, "unauthorized", &["revoked"]);
    // Its task is free for others, and the token of the attempt has ended with its lease.
    let task = place.get(&format!("/api/v1/tasks/{held}")).await.json(200);
    assert_eq!(task["state"], "ready", "{task}");
    assert_eq!(place.ask_as(&token, "GET", "/v1/models", Value::Null).await.status, 401);
    let status = place.get("/workers/status").await.json(200);
    assert_eq!(status["hosts"], json!([]), "{status}");
    let later = place.submit("far", json!({})).await;
    let other = host(&place, &place.token.clone(), json!({ "workers": ["far"] })).await;
    let both = json!({ "max_tasks": 9, "wait_ms": 20_000 });
    let claimed = place.post(&format!("{other}/claim"), both).await.json(200);
    let ids: Vec<&str> = claimed["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [held.as_str(), later.as_str()]);
}

#[expect(clippy::disallowed_methods, reason = "the promise is one of real time")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_expires_ends_what_waits_with_it() {
    let place = Place::new().await;
    let (secret, _) = made(&place, json!({ "expires_in_ms": 1_500 })).await;
    let host = host(&place, &secret, json!({ "workers": ["far"] })).await;
    let begun = Instant::now();
    let answer = place.ask_as(&secret, "POST", &format!("{host}/claim"), json!({ "wait_ms": 60_000 })).await;
    answer.refused(401, "unauthorized", &["expired"]);
    assert!(begun.elapsed() < ENDS + Duration::from_millis(1_500), "{:?}", begun.elapsed());
    // Its host is removed, too, within one check of the server.
    while place.get("/workers/status").await.json(200)["hosts"] != json!([]) {
        assert!(begun.elapsed() < 2 * ENDS);
        tokio::task::yield_now().await;
    }
}
