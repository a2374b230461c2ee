//! Contents of the folder belong to its tenant, and leases to the tenant of their task.

use serde_json::{Value, json};

use crate::place::{Place, Setup};

const OWN: &str = "kind: prompt\nname: own\noffline: language\nprompt: '{{ text }}'\n";
const SHARED: &str = "kind: prompt\nname: shared\noffline: language\ntenants: all\nprompt: '{{ text }}'\n";
const SECOND: &str = "kind: prompt\nname: second\noffline: language\ntenants: [2]\nprompt: '{{ text }}'\n";
/// Hides a built-in worker.
const HIDES: &str = "kind: prompt\nname: summarizer\ndescription: hides\noffline: summary\nprompt: '{{ text }}'\n";
const NIGHTLY: &str = "name: nightly\nsteps:\n  one: { worker: echo }\n";
const AFTER: &str = "name: after\non: { completed: { workflow: day } }\nsteps:\n  one: { worker: echo }\n";

async fn project() -> Place {
    let files = vec![
        ("workers/own.yaml", OWN),
        ("workers/shared.yaml", SHARED),
        ("workers/second.yaml", SECOND),
        ("workers/summarizer.yaml", HIDES),
        ("workflows/nightly.yaml", NIGHTLY),
        ("workflows/after.yaml", AFTER),
    ];
    Place::set_up(Setup { files, ..Setup::default() }).await
}

/// Returns which of the workers of the project a key sees, and whether the summarizer is the project's.
async fn seen(place: &Place, key: &str) -> (Vec<String>, bool) {
    let listed = place.ask_as(key, "GET", "/api/v1/workers", Value::Null).await.json(200);
    let workers = listed["workers"].as_array().unwrap();
    let names = workers.iter().map(|worker| worker["name"].as_str().unwrap().to_owned());
    let known = ["own", "shared", "second"];
    let hidden = workers.iter().any(|worker| worker["name"] == "summarizer" && worker["description"] == "hides");
    (names.filter(|name| known.contains(&name.as_str())).collect(), hidden)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_the_project_exist_for_its_tenant_and_for_those_that_a_file_names() {
    let place = project().await;
    for (tenant, expected, hides) in
        [(1, vec!["own", "second", "shared"], true), (2, vec!["second", "shared"], false), (3, vec!["shared"], false)]
    {
        let (key, _) = place.key("admin", tenant).await;
        let (names, hidden) = seen(&place, &key).await;
        assert_eq!((names.clone(), hidden), (expected.iter().map(ToString::to_string).collect(), hides), "{tenant}");
        for name in ["own", "shared", "second"] {
            let there = expected.contains(&name);
            let got = place.ask_as(&key, "GET", &format!("/api/v1/workers/{name}"), Value::Null).await;
            assert_eq!(got.status, if there { 200 } else { 404 }, "{tenant} {name}");
            let task = json!({ "worker": name, "input": { "text": "one two" } });
            let single = place.ask_as(&key, "POST", "/api/v1/tasks?wait_ms=20000", task.clone()).await;
            let batch = place.ask_as(&key, "POST", "/api/v1/tasks/batch", json!({ "tasks": [task] })).await;
            let source = format!("name: flow\nsteps:\n  one: {{ worker: {name}, with: {{ text: a }} }}\n");
            let run = place.ask_as(&key, "POST", "/api/v1/runs", json!({ "source": source })).await;
            for answer in [&single, &batch, &run] {
                if there {
                    assert_eq!(answer.status, 201, "{tenant} {name}: {}", answer.text());
                } else {
                    answer.refused(422, "unknown_worker", &[&format!("`{name}`")]);
                }
            }
            if there {
                assert_eq!(single.json(201)["state"], "succeeded", "{}", single.text());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_may_have_a_worker_of_the_same_name_on_a_host_of_its_own() {
    let place = project().await;
    let (key, _) = place.key("admin", 2).await;
    let host = place.ask_as(&key, "POST", "/api/v1/hosts", json!({ "workers": ["own"] })).await.json(201);
    let made = place.ask_as(&key, "POST", "/api/v1/tasks", json!({ "worker": "own" })).await.json(201);
    let path = format!("/api/v1/hosts/{}/claim", host["id"].as_str().unwrap());
    let claimed = place.ask_as(&key, "POST", &path, json!({ "wait_ms": 20_000 })).await.json(200);
    assert_eq!(claimed["tasks"][0]["id"], made["id"], "its own host has it, and not the worker of the folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_of_the_project_are_neither_started_nor_triggered_by_another_tenant() {
    let place = project().await;
    let (key, _) = place.key("admin", 2).await;
    let start = json!({ "workflow": "nightly" });
    place.ask_as(&key, "POST", "/api/v1/runs", start).await.refused(422, "invalid_input", &["nightly"]);
    let source = "name: day\nsteps:\n  sub: { workflow: nightly, on_error: continue }\n";
    for (key, runs) in [(&key, 1), (&place.token, 3)] {
        let run = place.ask_as(key, "POST", "/api/v1/runs", json!({ "source": source })).await.json(201);
        let path = format!("/api/v1/runs/{}?wait_ms=20000", run["id"].as_str().unwrap());
        place.ask_as(key, "GET", &path, Value::Null).await.json(200);
        let listed = place.ask_as(key, "GET", "/api/v1/runs", Value::Null).await.json(200);
        assert_eq!(listed["runs"].as_array().unwrap().len(), runs, "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_another_tenant_is_lost_whatever_is_done_with_it() {
    let place = Place::new().await;
    let (theirs, _) = place.key("admin", 2).await;
    let (worker, _) = place.key("worker", 2).await;
    let host = place.post("/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let host = format!("/api/v1/hosts/{}", host["id"].as_str().unwrap());
    let foreign = place.ask_as(&worker, "POST", "/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let foreign = format!("/api/v1/hosts/{}", foreign["id"].as_str().unwrap());
    let id = place.submit("far", json!({})).await;
    let claimed = place.post(&format!("{host}/claim"), json!({ "wait_ms": 20_000 })).await.json(200);
    let lease = claimed["tasks"][0]["lease_token"].clone();
    let error = json!({ "category": "internal", "message": "forged" });
    for key in [&theirs, &worker] {
        for outcome in ["succeed", "fail", "release"] {
            let report = json!({ "lease_token": lease, "outcome": outcome, "output": "FORGED", "error": error });
            let path = format!("{foreign}/report");
            let answer = place.ask_as(key, "POST", &path, json!({ "reports": [report] })).await.json(200);
            let result = &answer["results"][0];
            assert_eq!((&result["accepted"], &result["code"]), (&json!(false), &json!("lease_lost")), "{answer}");
            let single = json!({ "lease_token": lease, "output": "FORGED", "error": error });
            let path = format!("/api/v1/tasks/{id}/{outcome}");
            place.ask_as(key, "POST", &path, single).await.refused(409, "lease_lost", &[]);
        }
    }
    let beat = json!({ "tasks": [{ "lease_token": lease, "progress": 0.9, "message": "forged" }] });
    let beaten = place.ask_as(&worker, "POST", &format!("{foreign}/heartbeat"), beat).await.json(200);
    assert_eq!(beaten["cancel"], json!([lease]));
    let acked = json!({ "lease_tokens": [lease] });
    place.ask_as(&worker, "POST", &format!("{foreign}/ack"), acked).await.json(200);
    let task = place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
    assert_eq!((&task["state"], &task["attempt"]), (&json!("running"), &json!(1)), "{task}");
    assert!(!task.to_string().contains("forged"), "{task}");
    let report = json!({ "reports": [{ "lease_token": lease, "outcome": "succeed", "output": 1 }] });
    let answer = place.post(&format!("{host}/report"), report).await.json(200);
    assert_eq!(answer["results"][0]["accepted"], true);
}
