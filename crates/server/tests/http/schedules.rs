//! Schedules over HTTP.

use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_fire_with_a_key_happens_once_and_a_backfill_is_listed_first() {
    let place = Place::new().await;
    let made = json!({ "name": "s", "cron": "@hourly", "worker": "echo", "overlap": "allow" });
    place.post("/api/v1/schedules", made).await.json(201);
    let bearer = format!("Bearer {}", place.token);
    let fire = async |key: &str, name: &str| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        place.say("POST", &format!("/api/v1/schedules/{name}/fire"), &headers, b"").await
    };
    let (first, again) = (fire("k", "s").await.json(200), fire("k", "s").await.json(200));
    assert_eq!((&first["task"], &first["scheduled_at"]), (&again["task"], &again["scheduled_at"]));
    assert_ne!(fire("other", "s").await.json(200)["task"], first["task"]);
    let other = json!({ "name": "t", "cron": "@hourly", "worker": "echo" });
    place.post("/api/v1/schedules", other).await.json(201);
    fire("k", "t").await.refused(422, "idempotency_key_reused", &[]);

    let backfill = async |range: Value| place.post("/api/v1/schedules/s/backfill", range).await;
    let range = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T02:00:00Z", "dry_run": true });
    let listed = backfill(range.clone()).await.json(200);
    assert_eq!((&listed["dry_run"], &listed["fires"]), (&json!(true), &json!([])));
    assert_eq!(listed["times"].as_array().unwrap().len(), 3);
    let fired = backfill(json!({ "from": range["from"], "to": "2026-01-01T01:00:00Z" })).await.json(200);
    assert_eq!((fired.get("dry_run"), fired["fires"].as_array().unwrap().len()), (None, 2));
    assert_eq!(backfill(range).await.json(200)["times"], json!([listed["times"][2]]), "two of them were started");
    let long = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "dry_run": true });
    backfill(long).await.refused(422, "invalid_input", &["more than 100 times"]);

    let page = place.get("/api/v1/schedules").await.json(200);
    assert_eq!(page["schedules"][0]["last"]["kind"], "manual");
    assert_eq!((page["schedules"][1].get("last"), page["schedules"][0].get("fires")), (None, None));
}
