//! The protocol of worker hosts.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};

use crate::{lines::JsonLines, place::Place};

/// The way by which a host gets its tasks and reports them.
#[derive(Clone, Copy)]
enum Over {
    /// Long polls, and a request of its own for each kind of message.
    Polls,
    /// A stream, and frames.
    Stream,
}

const BOTH: [Over; 2] = [Over::Polls, Over::Stream];

impl Over {
    /// Registers a host. Returns the beginning of its paths.
    async fn host(self, place: &Place, more: Value) -> String {
        let mut body = json!({ "name": "test", "slots": 4, "workers": ["far"], "ack": matches!(self, Over::Stream) });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = place.post("/api/v1/hosts", body).await.json(201);
        format!("/api/v1/hosts/{}", made["id"].as_str().unwrap())
    }

    /// Waits for tasks, and acknowledges them.
    async fn claim(self, place: &Place, host: &str) -> Vec<Value> {
        if let Over::Polls = self {
            return claim(place, host, 20_000).await;
        }
        let body = json!({ "credit": 1 });
        let (mut lines, _) = JsonLines::open(place, &place.token, &format!("{host}/stream"), &body).await;
        let tasks = lines.told().await.unwrap()["tasks"].as_array().unwrap().clone();
        let acks: Vec<Value> = tasks.iter().map(|task| task["lease_token"].clone()).collect();
        place.post(&format!("{host}/frame"), json!({ "ack": acks })).await.json(200);
        tasks
    }

    async fn report(self, place: &Place, host: &str, reports: Value) -> Value {
        let path = if let Over::Polls = self { "report" } else { "frame" };
        place.post(&format!("{host}/{path}"), reports).await.json(200)
    }

    async fn beat(self, place: &Place, host: &str, beat: Value) -> Value {
        let path = if let Over::Polls = self { "heartbeat" } else { "frame" };
        place.post(&format!("{host}/{path}"), beat).await.json(200)
    }
}

/// Registers a host that polls. Returns the beginning of its paths.
async fn host(place: &Place, more: Value) -> String {
    Over::Polls.host(place, more).await
}

async fn claim(place: &Place, host: &str, wait_ms: u64) -> Vec<Value> {
    let body = json!({ "max_tasks": 10, "wait_ms": wait_ms });
    let claimed = place.post(&format!("{host}/claim"), body).await.json(200);
    claimed["tasks"].as_array().unwrap().clone()
}

fn report(task: &Value, outcome: &str, more: Value) -> Value {
    let mut report = json!({ "lease_token": task["lease_token"], "outcome": outcome });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "reports": [report] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_works_from_registration_to_report() {
    for over in BOTH {
        let place = Place::new().await;
        place.post("/api/v1/tasks", json!({ "worker": "far" })).await.refused(422, "unknown_worker", &["`far`"]);
        let host = over.host(&place, json!({})).await;
        assert_eq!(claim(&place, &host, 0).await, [] as [Value; 0]);
        let id = place.submit("far", json!({ "n": 1 })).await;
        let tasks = over.claim(&place, &host).await;
        assert_eq!(tasks.len(), 1);
        let task = &tasks[0];
        assert_eq!((&task["id"], &task["attempt"], &task["worker"]), (&json!(id), &json!(1), &json!("far")));
        assert_eq!((&task["input"], &task["last_attempt"]), (&json!({ "n": 1 }), &json!(false)));

        let beat = json!({ "tasks": [{ "lease_token": task["lease_token"] }, { "lease_token": "x" }] });
        let answer = over.beat(&place, &host, beat).await;
        assert_eq!(answer["cancel"], json!(["x"]));

        let done = report(
            task,
            "succeed",
            json!({ "output": { "b": [1, 2] }, "provenance": { "provider": "openai", "cost_nanousd": 5 } }),
        );
        for _ in 0..2 {
            // The report is repeated, as after a lost answer.
            let answer = over.report(&place, &host, done.clone()).await;
            assert_eq!(answer["results"][0]["accepted"], true, "{answer}");
        }
        let shown = place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
        assert_eq!(
            (&shown["state"], &shown["output"], &shown["cost_nanousd"]),
            (&json!("succeeded"), &json!({ "b": [1, 2] }), &json!(5))
        );
        let status = place.get("/workers/status").await.json(200);
        assert_eq!((&status["hosts"][0]["succeeded"], &status["hosts"][0]["alive"]), (&json!(1), &json!(true)));
        place.ask("DELETE", &host, Value::Null).await.json(200);
        place.post(&format!("{host}/claim"), json!({})).await.refused(404, "not_found", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_claim_wakes_when_work_appears_and_each_task_goes_to_one() {
    let place = Place::new().await;
    let first = host(&place, json!({})).await;
    let second = host(&place, json!({})).await;
    let waiting = async |host: String| {
        let body = json!({ "max_tasks": 1, "wait_ms": 20_000 });
        let claimed = place.post(&format!("{host}/claim"), body).await.json(200);
        claimed["tasks"][0]["id"].as_str().unwrap_or("none").to_owned()
    };
    let submitting = async {
        // Both wait before there is work: the status says so.
        loop {
            let status = place.get("/workers/status").await.json(200);
            if status["hosts"].as_array().unwrap().iter().all(|host| host["silent_ms"] == 0) {
                break;
            }
        }
        for _ in 0..2 {
            place.submit("far", json!({})).await;
        }
    };
    let (one, two, ()) = tokio::join!(waiting(first), waiting(second), submitting);
    let mut both = [one, two];
    both.sort();
    assert_eq!(both, ["task_1", "task_2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lease_is_refused_and_changes_nothing() {
    for over in BOTH {
        let place = Place::new().await;
        let host = over.host(&place, json!({})).await;
        let id = place.submit("far", json!({})).await;
        let old = over.claim(&place, &host).await.remove(0);
        let given_back = over.report(&place, &host, report(&old, "release", json!({}))).await;
        assert_eq!(given_back["results"][0]["accepted"], true);
        let new = over.claim(&place, &host).await.remove(0);
        assert_eq!(new["attempt"], 2);
        let single = json!({ "lease_token": old["lease_token"], "output": 1 });
        place.post(&format!("/api/v1/tasks/{id}/succeed"), single).await.refused(409, "lease_lost", &[]);
        let beat = json!({ "tasks": [{ "lease_token": old["lease_token"] }, { "lease_token": new["lease_token"] }] });
        let answer = over.beat(&place, &host, beat).await;
        assert_eq!(answer["cancel"], json!([old["lease_token"]]));
        let guessed = json!({ "lease_token": "1.2.0000000000000000", "output": 1 });
        place.post(&format!("/api/v1/tasks/{id}/succeed"), guessed).await.refused(409, "lease_lost", &[]);
        let single = json!({ "lease_token": new["lease_token"], "output": 2 });
        place.post(&format!("/api/v1/tasks/{id}/succeed"), single).await.json(200);
        assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["output"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_by_the_rules_that_the_host_gave() {
    for over in BOTH {
        let place = Place::new().await;
        let worker =
            json!({ "name": "far", "queue": "gpu", "retry": { "max_attempts": 2, "delay_ms": 1, "jitter": "none" } });
        let host = over.host(&place, json!({ "workers": [worker], "queues": ["gpu"] })).await;
        let id = place.submit("far", json!({})).await;
        assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["queue"], "gpu");
        for last in [false, true] {
            let task = over.claim(&place, &host).await.remove(0);
            assert_eq!(task["last_attempt"], last);
            let why = json!({ "error": { "category": "unavailable", "message": "away" } });
            over.report(&place, &host, report(&task, "fail", why)).await;
        }
        let task = place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
        assert_eq!((&task["state"], &task["error"]["message"]), (&json!("failed"), &json!("away")));
        let other = json!({ "worker": "far", "queue": "cpu" });
        let other = place.post("/api/v1/tasks", other).await.json(201);
        assert_eq!(claim(&place, &host, 0).await.len(), 0, "the host does not serve that queue");
        let task = place.get(&format!("/api/v1/tasks/{}", other["id"].as_str().unwrap())).await.json(200);
        assert!(
            task["reason"].as_str().unwrap().contains("0 workers listen on queue `cpu` for worker `far`"),
            "{task}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_is_told_with_the_heartbeat() {
    for over in BOTH {
        let place = Place::new().await;
        let host = over.host(&place, json!({})).await;
        let id = place.submit("far", json!({})).await;
        let task = over.claim(&place, &host).await.remove(0);
        place.post(&format!("/api/v1/tasks/{id}/cancel"), Value::Null).await.json(200);
        let beat = json!({ "tasks": [{ "lease_token": task["lease_token"] }] });
        let answer = over.beat(&place, &host, beat).await;
        assert_eq!(answer["cancel"], json!([task["lease_token"]]));
        let late = over.report(&place, &host, report(&task, "succeed", json!({ "output": 1 }))).await;
        assert_eq!(late["results"][0]["code"], "lease_lost");
        assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["state"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_goes_to_another_host_long_before_its_lease_ends() {
    let limits = Limits { ack: Duration::from_millis(100), ..Limits::default() };
    let place = Place::with(limits).await;
    let deaf = host(&place, json!({ "ack": true })).await;
    let other = host(&place, json!({ "ack": true })).await;
    let id = place.submit("far", json!({})).await;
    assert_eq!(claim(&place, &deaf, 20_000).await.len(), 1);
    let task = claim(&place, &other, 20_000).await.remove(0);
    assert_eq!((&task["id"], &task["attempt"]), (&json!(id), &json!(2)));
    let acked = json!({ "lease_tokens": [task["lease_token"]] });
    place.post(&format!("{other}/ack"), acked).await.json(200);
    // Once acknowledged, the task stays: a third claim waits in vain for longer than the time to acknowledge.
    assert_eq!(claim(&place, &deaf, 300).await.len(), 0);
    let done = place.post(&format!("{other}/report"), report(&task, "succeed", json!({}))).await.json(200);
    assert_eq!(done["results"][0]["accepted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_away_while_it_waits_takes_nothing_with_it() {
    let place = Place::new().await;
    let gone = host(&place, json!({})).await;
    for _ in 0..20 {
        let body = json!({ "max_tasks": 10, "wait_ms": 20_000 });
        let path = format!("{gone}/claim");
        // Dropped in the middle, which closes its connection.
        let leaving = tokio::time::timeout(Duration::from_millis(5), place.post(&path, body)).await;
        assert!(leaving.is_err());
    }
    let id = place.submit("far", json!({})).await;
    let other = host(&place, json!({})).await;
    let task = claim(&place, &other, 20_000).await.remove(0);
    assert_eq!(task["id"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_outlive_a_restart_of_the_server() {
    for over in BOTH {
        let place = Place::new().await;
        let before = over.host(&place, json!({})).await;
        let id = place.submit("far", json!({})).await;
        let task = over.claim(&place, &before).await.remove(0);
        let place = place.again().await;
        let after = over.host(&place, json!({})).await;
        // A host that came later has not replaced it: it would receive the other's work.
        place.post(&format!("{before}/claim"), json!({})).await.refused(404, "not_found", &[]);
        assert_ne!(before, after);
        let beat = json!({ "tasks": [{ "lease_token": task["lease_token"] }] });
        assert_eq!(over.beat(&place, &after, beat).await["cancel"], json!([]));
        let done = over.report(&place, &after, report(&task, "succeed", json!({ "output": 3 }))).await;
        assert_eq!(done["results"][0]["accepted"], true, "{done}");
        assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["output"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hosts_served_is_known_after_a_restart_before_they_are_back() {
    let place = Place::new().await;
    let worker = json!({ "name": "far", "queue": "gpu", "input": { "type": "object", "required": ["n"] } });
    host(&place, json!({ "workers": [worker] })).await;
    let key = [("idempotency-key", "k1")];
    let submit = async |place: &Place, worker: &str| {
        let bearer = format!("Bearer {}", place.token);
        let headers = [key[0], ("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = json!({ "worker": worker, "input": { "n": 1 } }).to_string();
        place.say("POST", "/api/v1/tasks", &headers, body.as_bytes()).await
    };
    let first = submit(&place, "far").await.json(201);
    let place = place.again().await;
    assert_eq!(submit(&place, "far").await.json(201), first);
    let other = place.post("/api/v1/tasks", json!({ "worker": "far", "input": { "n": 2 } })).await.json(201);
    let shown = place.get(&format!("/api/v1/tasks/{}", other["id"].as_str().unwrap())).await.json(200);
    assert_eq!(shown["queue"], "gpu");
    assert!(shown["reason"].as_str().unwrap().contains("worker `far` is not served at the moment"), "{shown}");
    place.post("/api/v1/tasks", json!({ "worker": "far" })).await.refused(422, "invalid_input", &["n"]);
    place.post("/api/v1/tasks", json!({ "worker": "fer" })).await.refused(422, "unknown_worker", &["`far`"]);
    let (secret, _) = place.key("admin", 2).await;
    let theirs = place.ask_as(&secret, "POST", "/api/v1/tasks", json!({ "worker": "far" })).await;
    theirs.refused(422, "unknown_worker", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_host_is_told() {
    let place = Place::new().await;
    let wrong = [
        json!({ "workers": [] }),
        json!({ "workers": ["a b"] }),
        json!({ "workers": ["far"], "slots": 0 }),
        json!({ "workers": ["far"], "queues": ["no such"] }),
        json!({ "workers": [{ "name": "far", "input": { "type": 7 } }] }),
    ];
    for body in wrong {
        place.post("/api/v1/hosts", body).await.refused(422, "invalid_input", &[]);
    }
    let host = host(&place, json!({})).await;
    for body in [json!({ "max_tasks": 0 }), json!({ "wait_ms": 60_001 }), json!({ "max_tasks": -1 })] {
        place.post(&format!("{host}/claim"), body).await.refused(422, "invalid_input", &[]);
    }
    let id = place.submit("far", json!({})).await;
    let task = claim(&place, &host, 20_000).await.remove(0);
    let answer = place.post(&format!("{host}/report"), report(&task, "fail", json!({}))).await.json(200);
    assert_eq!(answer["results"][0]["code"], "invalid_input");
    let why = json!({ "error": { "category": "bad mood", "message": "m" } });
    let answer = place.post(&format!("{host}/report"), report(&task, "fail", why)).await.json(200);
    assert!(answer["results"][0]["detail"].as_str().unwrap().contains("error.category"), "{answer}");
    assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["state"], "running");
}
