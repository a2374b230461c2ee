//! The web console: its files, sessions by one-time code, and the caller's rights.

use kapelle_server::Limits;
use serde_json::{Value, json};

use crate::place::Place;

/// Makes a code with a key.
async fn code(place: &Place, key: &str) -> String {
    let made = place.ask_as(key, "POST", "/api/v1/sessions/codes", Value::Null).await.json(201);
    let text = made["code"].as_str().unwrap().to_owned();
    assert_eq!((&made["path"], &made["expires_in_ms"]), (&json!(format!("/ui/#code={text}")), &json!(600_000)));
    text
}

/// Exchanges a code, as a browser without a key does.
async fn exchange(place: &Place, code: &str) -> crate::place::Answer {
    let body = json!({ "code": code }).to_string().into_bytes();
    place.say("POST", "/api/v1/sessions", &[("content-type", "application/json")], &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_public_and_strict() {
    let place = Place::new().await;
    let home = place.say("GET", "/", &[], b"").await;
    assert_eq!((home.status, home.headers["location"].as_str()), (302, "/ui/"));
    for path in ["/ui", "/ui/", "/ui/runs/run_7", "/ui/..%2f..%2ftoken"] {
        let page = place.say("GET", path, &[], b"").await;
        assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"), "{path}");
        assert!(page.text().contains("<html"), "{path}");
        let policy = &page.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("require-trusted-types-for 'script'"), "{policy}");
        assert_eq!(page.headers["cache-control"], "no-cache", "{path}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
    }
    place.say("GET", "/ui/assets/none-1.js", &[], b"").await.refused(404, "not_found", &["none-1.js"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_gives_one_session_with_the_rights_of_its_maker() {
    let place = Place::new().await;
    let owner = code(&place, &place.token).await;
    let session = exchange(&place, &owner).await.json(201);
    assert_eq!((&session["role"], &session["name"]), (&json!("admin"), &json!("session of token")));
    exchange(&place, &owner).await.refused(401, "unauthorized", &["already used"]);
    exchange(&place, "").await.refused(401, "unauthorized", &[]);
    let secret = session["secret"].as_str().unwrap().to_owned();
    let me = place.ask_as(&secret, "GET", "/api/v1/me", Value::Null).await.json(200);
    assert_eq!((&me["id"], &me["server"], &me["tenant"]), (&session["id"], &json!(true), &json!(1)));
    assert_eq!(me["may"], json!(["read", "submit", "approve", "operate", "work", "ask", "administer"]));
    assert_eq!(me["expires_at"], session["expires_at"]);

    let (viewer, _) = place.key("viewer", 2).await;
    let session = exchange(&place, &code(&place, &viewer).await).await.json(201);
    let theirs = session["secret"].as_str().unwrap();
    let me = place.ask_as(theirs, "GET", "/api/v1/me", Value::Null).await.json(200);
    assert_eq!((&me["role"], &me["may"]), (&json!("viewer"), &json!(["read"])));
    assert_eq!((&me["tenant"], &me["server"]), (&json!(2), &json!(false)));
    place.ask_as(theirs, "POST", "/api/v1/tasks", json!({ "worker": "echo" })).await.refused(403, "forbidden", &[]);

    let place = place.again().await;
    let me = place.ask_as(&secret, "GET", "/api/v1/me", Value::Null).await;
    assert_eq!(me.status, 200, "a session survives a restart");
    let ended = place.ask_as(&secret, "DELETE", "/api/v1/sessions/current", Value::Null).await.json(200);
    assert_eq!(ended["revoked"], true);
    place.ask_as(&secret, "GET", "/api/v1/me", Value::Null).await.refused(401, "unauthorized", &[]);
    place.ask("DELETE", "/api/v1/sessions/current", Value::Null).await.refused(409, "conflict", &["token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_key_that_made_it() {
    let place = Place::new().await;
    let (key, id) = place.key("operator", 1).await;
    let session = exchange(&place, &code(&place, &key).await).await.json(201);
    let unused = code(&place, &key).await;
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    let secret = session["secret"].as_str().unwrap();
    place.ask_as(secret, "GET", "/api/v1/me", Value::Null).await.refused(401, "unauthorized", &[]);
    exchange(&place, &unused).await.refused(401, "unauthorized", &[]);
    let short = json!({ "name": "short", "role": "viewer", "expires_in_ms": 60_000 });
    let short = place.post("/api/v1/keys", short).await.json(201);
    let session = exchange(&place, &code(&place, short["secret"].as_str().unwrap()).await).await.json(201);
    assert_eq!(session["expires_at"], short["expires_at"], "it does not outlive its maker");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_are_counted_and_a_right_one_still_passes() {
    let place = Place::with(Limits { failures_per_minute: 3, ..Limits::default() }).await;
    let right = code(&place, &place.token).await;
    for _ in 0..3 {
        exchange(&place, "kap_wrong").await.refused(401, "unauthorized", &[]);
    }
    exchange(&place, "kap_wrong").await.refused(429, "too_many", &[]);
    exchange(&place, &right).await.json(201);
}
