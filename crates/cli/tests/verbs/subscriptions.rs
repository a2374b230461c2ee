//! `kapelle subscriptions` on the real binary: receivers that fail in every way, and a server that is killed while it
//! sends.

use std::collections::{BTreeMap, BTreeSet};

use kapelle_api::{Api, Client, SubmitBatch, SubmitTask};
use serde_json::{Value, json};

use crate::{place::Place, receiver::Receiver, serve::Served};

/// Prepares a folder that may send to the receiver.
fn prepared(receiver: &Receiver) -> Place {
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let mut config = std::fs::read_to_string(place.path("kapelle.yaml")).unwrap();
    config.push_str(&format!("\nwebhooks: {{ private: ['{}'] }}\n", receiver.address));
    place.file("kapelle.yaml", config);
    place
}

fn subscribe(place: &Place, receiver: &Receiver, path: &str, rest: &[&str]) -> String {
    let (name, url) = (path.trim_start_matches('/'), format!("http://{}{path}", receiver.address));
    let made = place.kapelle(&[&["subscriptions", "create", name, "--url", &url, "--json"], rest].concat());
    assert_eq!(made.code, 0, "{made:?}");
    made.json()["secret"].as_str().unwrap().to_owned()
}

fn submit(place: &Place, served: &Served, count: usize) -> Vec<String> {
    let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
    let client = Client::new(&format!("http://{}", served.address), token.trim()).unwrap();
    let task = SubmitTask { worker: "log".to_owned(), input: json!({ "message": "a" }), ..SubmitTask::default() };
    let request = SubmitBatch { tasks: vec![task; count] };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let made = runtime.block_on(client.submit_batch(request, None)).unwrap();
    made.ids
}

fn deliveries(place: &Place, name: &str) -> Vec<Value> {
    let page = place.kapelle(&["subscriptions", "deliveries", name, "--json", "--limit", "1000"]).json();
    page["deliveries"].as_array().unwrap().clone()
}

#[test]
fn receivers_that_fail_hang_redirect_or_leave_delay_nobody_else() {
    let receiver = Receiver::start();
    let place = prepared(&receiver);
    let served = Served::start(&place);
    let ended = ["--type", "kapelle.task.*"];
    for path in ["/hang", "/fails", "/gone", "/away", "/fails-once", "/ok"] {
        subscribe(&place, &receiver, path, &ended);
    }
    submit(&place, &served, 20);
    // Twenty deliveries hang on another receiver meanwhile, each for 10 s.
    let got = receiver.wait("/ok", |got| got.len() == 20);
    assert!(receiver.on("/hang").len() <= 4, "places of one receiver are bounded");
    let events: BTreeSet<String> = got.iter().map(|got| got.event()["id"].to_string()).collect();
    assert_eq!(events.len(), 20);
    let event = got[0].event();
    assert_eq!((&event["specversion"], &event["type"]), (&"1.0".into(), &"kapelle.task.succeeded".into()));
    assert_eq!(got[0].headers["content-type"], "application/cloudevents+json");
    assert_eq!(got[0].headers["webhook-id"], event["id"].as_str().unwrap());
    assert!(got[0].headers["webhook-signature"].starts_with("v1,"));
    receiver.wait("/fails-once", |got| got.len() == 21);
    // A redirect is not followed: `/ok` got its own requests alone.
    receiver.wait("/away", |got| got.len() >= 20);
    assert_eq!(receiver.on("/ok").len(), 20);
    receiver.wait("/gone", |got| !got.is_empty());
    let mut shown = place.kapelle(&["subscriptions", "show", "gone", "--json"]).json();
    while shown["disabled_reason"].is_null() {
        shown = place.kapelle(&["subscriptions", "show", "gone", "--json"]).json();
    }
    let tried = deliveries(&place, "away").into_iter().find(|row| row["attempts"] != 0).unwrap();
    assert_eq!((&tried["state"], &tried["status"]), (&"pending".into(), &302.into()), "{tried}");
    assert!(tried["error"].as_str().unwrap().contains("redirects are not followed"), "{tried}");
    assert_eq!(deliveries(&place, "ok").iter().filter(|row| row["state"] == "delivered").count(), 20);
    let listed = place.kapelle(&["subscriptions"]).out;
    assert!(listed.contains("disabled: the receiver answered 410"), "{listed}");
    served.end("-TERM");
}

#[test]
fn a_subscription_is_made_changed_tested_rotated_replayed_and_deleted() {
    let receiver = Receiver::start();
    let place = prepared(&receiver);
    let create = |rest: &[&str]| place.kapelle(&[&["subscriptions", "create", "ops"], rest].concat());
    for (rest, parts) in [
        (&["--url", "http://127.0.0.1:1/"][..], &["url: ", "`webhooks` of kapelle.yaml"][..]),
        (&["--url", "http://example.com/"], &["url: plain http"]),
        (&["--url", "https://example.com/", "--type", "kapelle.run.faild"], &["types: ", "`kapelle.run.failed`"]),
        (&["--url", "https://example.com/", "--if", "inputs.a == 1"], &["if: `inputs.a` is unknown"]),
    ] {
        create(rest).refused(2, parts);
    }
    let secret = subscribe(&place, &receiver, "/ok", &["--type", "kapelle.run.failed"]);
    assert!(secret.starts_with("whsec_"));
    let url = format!("http://{}/ok", receiver.address);
    place.kapelle(&["subscriptions", "create", "ok", "--url", &url]).refused(5, &["ok exists already"]);
    let changed = place.kapelle(&["subscriptions", "change", "ok", "--type", "kapelle.task.*", "--ordered", "true"]);
    assert!(changed.out.contains("in order for each subject"), "{changed:?}");
    let served = Served::start(&place);
    let tested = place.kapelle(&["subscriptions", "test", "ok", "--json"]);
    assert_eq!((tested.code, &tested.json()["state"]), (0, &"delivered".into()), "{tested:?}");
    let rotated = place.kapelle(&["subscriptions", "rotate", "ok", "--json"]).json();
    assert_ne!(rotated["secret"], json!(secret));
    place.kapelle(&["subscriptions", "test", "ok"]);
    let got = receiver.wait("/ok", |got| got.len() == 2);
    assert_eq!(got[0].headers["webhook-signature"].split(' ').count(), 1);
    assert_eq!(got[1].headers["webhook-signature"].split(' ').count(), 2, "both secrets sign");
    assert_eq!(place.kapelle(&["subscriptions", "pause", "ok", "--reason", "moved"]).code, 0);
    submit(&place, &served, 1);
    while place.kapelle(&["subscriptions", "show", "ok", "--json"]).json()["pending"] == 0 {}
    let waiting = place.kapelle(&["subscriptions", "show", "ok"]);
    assert!(waiting.out.contains("paused: moved") && waiting.out.contains("1 waiting"), "{waiting:?}");
    assert_eq!(place.kapelle(&["subscriptions", "resume", "ok"]).code, 0);
    let got = receiver.wait("/ok", |got| got.len() == 3);
    let first = deliveries(&place, "ok").into_iter().find(|row| row["type"] == "kapelle.task.succeeded").unwrap();
    let again = place.kapelle(&["subscriptions", "replay", "ok", first["id"].as_str().unwrap()]);
    assert_eq!(again.code, 0, "{again:?}");
    let replayed = receiver.wait("/ok", |got| got.len() == 4);
    assert_eq!(replayed[3].headers["webhook-id"], got[2].headers["webhook-id"], "a replay is the same event");
    place.kapelle(&["subscriptions", "replay", "ok", "dlv_99"]).refused(3, &["dlv_99 does not exist"]);
    place.kapelle(&["subscriptions", "show", "nobody"]).refused(3, &["subscription nobody does not exist"]);
    served.end("-TERM");
    let audit = place.kapelle(&["audit"]).out;
    for act in ["subscription.create", "subscription.change", "subscription.rotate", "subscription.replay"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
    assert!(!audit.contains("whsec_"), "no secret is in the audit trail");
    assert_eq!(place.kapelle(&["subscriptions", "delete", "ok"]).code, 0);
}

#[test]
fn kills_in_the_midst_of_deliveries_lose_no_event() {
    let rounds: usize = std::env::var("KAPELLE_DELIVERY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let receiver = Receiver::start();
    let place = prepared(&receiver);
    subscribe(&place, &receiver, "/ok", &["--type", "kapelle.task.succeeded"]);
    subscribe(&place, &receiver, "/fails-once", &["--type", "kapelle.task.*", "--ordered"]);
    let mut tasks = BTreeSet::new();
    for round in 0..rounds {
        let served = Served::start(&place);
        let before = receiver.on("/ok").len();
        tasks.extend(submit(&place, &served, 10));
        // The kill comes after some of the ten requests: in the midst of the others.
        receiver.wait("/ok", |got| got.len() > before + round % 8);
        // The end of its life is SIGKILL.
        drop(served);
    }
    let served = Served::start(&place);
    for path in ["/ok", "/fails-once"] {
        let told = |got: &[crate::receiver::Received]| {
            let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for event in got.iter().map(crate::receiver::Received::event) {
                let text = |field: &str| event[field].as_str().unwrap().to_owned();
                told.entry(text("subject")).or_default().insert(text("id"));
            }
            told
        };
        let got = receiver.wait(path, |got| told(got).len() == tasks.len());
        let told = told(&got);
        assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), tasks, "{path}: an event was lost");
        assert!(told.values().all(|ids| ids.len() == 1), "{path}: a repeated request has the same id");
    }
    served.end("-TERM");
}
