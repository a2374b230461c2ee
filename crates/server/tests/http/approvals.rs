//! Questions to people, and control of runs.

use serde_json::{Value, json};

use crate::place::Place;

const ASKS: &str = "\
name: asks
steps:
  ask: { wait: { approval: 'Send <it> & go?' } }
  go: { needs: [ask], wait: { signal: go } }
outputs: { by: '${{ steps.ask.output.claimed_name }}', key: '${{ steps.ask.output.by }}', what: '${{ steps.go.output }}' }
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
    assert_eq!(run["outputs"], json!({ "by": "Ada", "key": "token", "what": 7 }));
    let (viewer, _) = place.key("viewer", 1).await;
    asked_again(&place, &viewer).await;
}

/// A key that may not answer gets no link.
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
    place.post("/api/v1/runs/run_1/rerun", json!({})).await.refused(409, "conflict", &["needs a run that has ended"]);
    let deny = format!("/api/v1/approvals/{}/deny", asked["id"].as_str().unwrap());
    place.post(&deny, json!({ "comment": "too dear" })).await.json(200);
    let run = place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    assert_eq!(run["state"], "failed");
    assert!(run["error"]["message"].as_str().unwrap().contains("too dear"), "{run}");
    place.post("/api/v1/runs/run_1/rerun", json!({ "from": "nix" })).await.refused(422, "invalid_input", &["`nix`"]);
    let again = place.post("/api/v1/runs/run_1/rerun", json!({})).await.json(201);
    assert_eq!(again["id"], "run_2");
}

/// Starts a run with a key, whose only step asks. Returns the id of the step.
async fn asks(place: &Place, key: &str, rule: &str) -> String {
    let source = format!("name: gate\nsteps:\n  ask: {{ wait: {{ approval: 'Pay {{nonce}}?\u{202e}'{rule} }} }}\n");
    let run = place.ask_as(key, "POST", "/api/v1/runs", json!({ "source": source })).await.json(201);
    let listed = place.get("/api/v1/approvals").await.json(200);
    let found = listed["approvals"].as_array().unwrap().iter().find(|asked| asked["run"] == run["id"]).cloned();
    found.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn named(place: &Place, name: &str, more: Value) -> String {
    let mut body = json!({ "name": name });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.post("/api/v1/keys", body).await.json(201)["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_approve_who_may_and_never_the_starter_unless_the_step_says_so() {
    let place = Place::new().await;
    let developer = named(&place, "dev", json!({ "role": "developer" })).await;
    let cfo = named(&place, "cfo", json!({ "role": "viewer", "approve": true })).await;
    let lead = named(&place, "lead", json!({ "role": "developer", "approve": true })).await;
    let operator = named(&place, "ops", json!({ "role": "operator" })).await;
    let token = place.token.clone();
    let roles = ", approvers: [cfo, operator]";
    for (starter, rule, by, may) in [
        (&developer, "", &developer, false),
        (&developer, "", &cfo, true),
        (&developer, "", &operator, true),
        (&lead, "", &lead, false),
        (&lead, ", allow_starter: true", &lead, true),
        (&operator, "", &operator, false),
        (&operator, "", &lead, true),
        (&developer, roles, &lead, false),
        (&developer, roles, &token, false),
        (&developer, roles, &cfo, true),
        (&developer, roles, &operator, true),
        // The owner of the folder may answer its own question, unless the step forbids it.
        (&token, "", &token, true),
        (&token, ", allow_starter: false", &token, false),
    ] {
        for verb in ["approve", "deny"] {
            let step = asks(&place, starter, rule).await;
            let listed = place.ask_as(by, "GET", "/api/v1/approvals", Value::Null).await.json(200);
            let own = listed["approvals"].as_array().unwrap().iter().find(|asked| asked["id"] == step.as_str());
            let own = own.unwrap();
            assert_eq!((own["may_answer"] == true, own["link"].is_string()), (may, may), "{rule} {own}");
            let path = format!("/api/v1/approvals/{step}/{verb}");
            let answer = place.ask_as(by, "POST", &path, json!({ "by": "the CFO" })).await;
            if may {
                answer.json(200);
            } else {
                answer.refused(403, "forbidden", &[]);
                let state = place.get(&format!("/api/v1/tasks/{step}")).await.json(200);
                assert_eq!(state["state"], "waiting");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_acted_stands_beside_the_name_that_was_given() {
    let place = Place::new().await;
    let made = place.post("/api/v1/keys", json!({ "name": "ops", "role": "operator" })).await.json(201);
    let key = made["secret"].as_str().unwrap();
    let step = asks(&place, &place.token, "").await;
    let given = json!({ "by": "CEO\u{202e}\u{0}<b>", "comment": "fine\u{1b}[31m\nso" });
    place.ask_as(key, "POST", &format!("/api/v1/approvals/{step}/approve"), given).await.json(200);
    let output = place.get(&format!("/api/v1/tasks/{step}")).await.json(200)["output"].clone();
    let expected = json!({ "approved": true, "by": made["id"], "via": "key", "claimed_name": "CEO<b>",
        "comment": "fine[31m\nso" });
    assert_eq!(output, expected);
    let step = asks(&place, &place.token, "").await;
    for (field, most) in [("by", 100), ("comment", 2_000)] {
        let path = format!("/api/v1/approvals/{step}/approve");
        let long = json!({ field: "x".repeat(most + 1) });
        place.ask_as(key, "POST", &path, long).await.refused(422, "invalid_input", &[field]);
    }
    // A link belongs to the key that received it, and ends with that key.
    let listed = place.ask_as(key, "GET", "/api/v1/approvals", Value::Null).await.json(200);
    let link = listed["approvals"][0]["link"].as_str().unwrap().to_owned();
    let page = place.say("GET", &link, &[], b"").await;
    assert!(page.text().contains("Pay {nonce}?<") && !page.text().contains('\u{202e}'), "{}", page.text());
    assert!(!page.headers["content-security-policy"].contains("kap_"), "{:?}", page.headers);
    let json_type = [("content-type", "application/json")];
    let long = json!({ "approved": true, "comment": "x".repeat(2_001) }).to_string();
    place.say("POST", &link, &json_type, long.as_bytes()).await.refused(422, "invalid_input", &["comment"]);
    place.ask("DELETE", &format!("/api/v1/keys/{}", made["id"].as_str().unwrap()), Value::Null).await.json(200);
    place.say("GET", &link, &[], b"").await.refused(404, "not_found", &[]);
    place.say("POST", &link, &json_type, br#"{"approved":true}"#).await.refused(404, "not_found", &[]);
}
