//! Questions to people, and control of runs.

use serde_json::{Value, json};

use crate::place::Place;

const ASKS: &str = "\
name: asks
steps:
  ask: { wait: { approval: 'Send <it> & go?' } }
  go: { needs: [ask], wait: { signal: go } }
outputs: { by: '${{ steps.ask.output.by }}', what: '${{ steps.go.output }}' }
";

/// Starts a run, and waits until it has asked.
async fn asked(place: &Place) -> Value {
    place.post("/api/v1/runs", json!({ "source": ASKS })).await.json(201);
    place.get("/api/v1/approvals").await.json(200)["approvals"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_answers_one_question_once_and_needs_no_key() {
    let place = Place::new().await;
    let asked = asked(&place).await;
    assert_eq!((&asked["step"], &asked["question"]), (&json!("ask"), &json!("Send <it> & go?")));
    let link = asked["link"].as_str().unwrap();
    let page = place.say("GET", link, &[], b"").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Send &lt;it&gt; &amp; go?"), "{}", page.text());
    let json_type = [("content-type", "application/json")];
    let forged = format!("{}0", &link[..link.len() - 1]);
    let forged = if forged == link { format!("{}1", &link[..link.len() - 1]) } else { forged };
    place.say("GET", &forged, &[], b"").await.refused(404, "not_found", &[]);
    place.say("POST", &forged, &json_type, br#"{"approved":true}"#).await.refused(404, "not_found", &[]);
    place.say("POST", link, &json_type, b"{}").await.refused(422, "invalid_input", &["approved"]);
    let answer = place.say("POST", link, &json_type, br#"{"approved":true,"by":"Ada"}"#).await;
    assert_eq!(answer.json(200), json!({ "approved": true }));
    place.say("POST", link, &json_type, br#"{"approved":false}"#).await.refused(409, "conflict", &["answered"]);
    place.post("/api/v1/runs/run_1/signals/go", json!({ "payload": 7 })).await.json(200);
    let run = place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    assert_eq!(run["outputs"], json!({ "by": "Ada (by link)", "what": 7 }));
    let (viewer, _) = place.key("viewer", 1).await;
    asked_again(&place, &viewer).await;
}

/// Who may not answer gets no link.
async fn asked_again(place: &Place, viewer: &str) {
    asked(place).await;
    let seen = place.ask_as(viewer, "GET", "/api/v1/approvals", Value::Null).await.json(200);
    assert_eq!(seen["approvals"][0]["link"], Value::Null);
    let (other, _) = place.key("admin", 2).await;
    let theirs = place.ask_as(&other, "GET", "/api/v1/approvals", Value::Null).await.json(200);
    assert_eq!(theirs["approvals"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_paused_resumed_denied_and_run_again() {
    let place = Place::new().await;
    let asked = asked(&place).await;
    place.post("/api/v1/runs/run_1/pause", Value::Null).await.json(200);
    place.post("/api/v1/runs/run_1/pause", Value::Null).await.refused(409, "conflict", &["already paused"]);
    place.post("/api/v1/runs/run_1/resume", Value::Null).await.json(200);
    place.post("/api/v1/runs/run_1/rerun", json!({})).await.refused(409, "conflict", &["once it has ended"]);
    let deny = format!("/api/v1/approvals/{}/deny", asked["id"].as_str().unwrap());
    place.post(&deny, json!({ "comment": "too dear" })).await.json(200);
    let run = place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    assert_eq!(run["state"], "failed");
    assert!(run["error"]["message"].as_str().unwrap().contains("too dear"), "{run}");
    place.post("/api/v1/runs/run_1/rerun", json!({ "from": "nix" })).await.refused(422, "invalid_input", &["`nix`"]);
    let again = place.post("/api/v1/runs/run_1/rerun", json!({})).await.json(201);
    assert_eq!(again["id"], "run_2");
}
