//! Health as the user of a server defines it, and the metrics of all tenants.

use kapelle::{HealthCheck, Measure};
use serde_json::{Value, json};

use crate::place::{Place, Setup};

fn check(name: &str, measure: Measure, of: Option<&str>, over: f64, critical: bool) -> HealthCheck {
    let of = of.map(str::to_owned);
    HealthCheck { name: name.to_owned(), measure, of, over: Some(over), under: None, at_least: 2, critical }
}

/// Asks until the answer has that status: the checks run once a second.
async fn until(place: &Place, path: &str, status: u16) -> Value {
    loop {
        let answer = place.say("GET", path, &[], b"").await;
        if answer.status == status {
            return answer.json(status);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_check_makes_the_server_unhealthy_as_long_as_it_fails() {
    let checks = vec![
        check("runs", Measure::ActiveRuns, None, 0.0, true),
        check("refuse", Measure::FailureRate, Some("refuse"), 0.5, false),
        check("backlog", Measure::QueueDepth, Some("default"), 1_000.0, true),
    ];
    let place = Place::set_up(Setup { checks, ..Setup::default() }).await;
    until(&place, "/readyz", 200).await;
    let source = "name: flow\nsteps:\n  one: { worker: gate }\n";
    place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let health = until(&place, "/health", 503).await;
    assert_eq!(health["status"], "critical");
    assert_eq!(
        (&health["checks"][0]["status"], &health["checks"][0]["reason"]),
        (&json!("critical"), &json!("1 active runs, more than 0"))
    );
    assert_eq!(health["checks"][2]["reason"], "0 tasks of `default` wait for a slot");
    let ready = until(&place, "/readyz", 503).await;
    assert!(ready["detail"].as_str().unwrap().contains("the check `runs` fails: 1 active runs"), "{ready}");
    place.say("GET", "/livez", &[], b"").await.json(200);
    place.gate.notify_one();
    until(&place, "/health", 200).await;

    for _ in 0..2 {
        place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
    }
    loop {
        let health = until(&place, "/health", 200).await;
        if health["status"] == "warning" {
            assert_eq!(health["checks"][1]["reason"], "100 % of the last 2 tasks of `refuse` failed, more than 0.5");
            break;
        }
        tokio::task::yield_now().await;
    }
    let metrics = place.get("/metrics").await.text();
    assert!(metrics.contains("kapelle_health_check_failing{check=\"refuse\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_the_tasks_of_all_tenants() {
    let place = Place::new().await;
    let (other, _) = place.key("admin", 2).await;
    let body = json!({ "worker": "echo", "delay_ms": 3_600_000 });
    place.ask_as(&other, "POST", "/api/v1/tasks", body.clone()).await.json(201);
    place.post("/api/v1/tasks", body).await.json(201);
    let metrics = place.get("/metrics").await.text();
    for tenant in [1, 2] {
        let line = format!("kapelle_tasks_open{{tenant=\"{tenant}\",queue=\"default\",state=\"scheduled\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn a_check_that_makes_no_sense_is_refused_with_its_name() {
    for (yaml, part) in [
        ("{ name: a, measure: active_runs }", "a: give it either `over` or `under`"),
        ("{ name: a, measure: active_runs, over: 1, under: 2 }", "a: give it either `over` or `under`"),
        ("{ name: a, measure: active_runs, over: -1 }", "over: -1 is less than 0"),
        ("{ name: a, measure: active_runs, over: .nan }", "over: "),
        ("{ name: a, measure: failure_rate, over: 0.5 }", "a: name the worker"),
        ("{ name: a, measure: failure_rate, of: w, over: 5 }", "between 0 and 1"),
        ("{ name: a, measure: queue_depth, of: a b, over: 5 }", "a: of:"),
        ("{ name: a, measure: hosts, of: x, under: 5 }", "`of` does not go"),
        ("{ name: '', measure: hosts, under: 5 }", "name: 1 to 80"),
        ("{ name: a, measure: speed, over: 5 }", "speed"),
        ("{ name: a, measure: hosts, ovr: 5 }", "ovr"),
    ] {
        let text = format!("health:\n  checks:\n    - {yaml}\n");
        let error = kapelle::Config::parse(&text, "kapelle.yaml").unwrap_err().to_string();
        assert!(error.contains(part), "{yaml}: {error}");
    }
    for (text, part) in [("lease: 10ms\n", "between 1s and 10m"), ("labels: { 'a b': x }\n", "labels")] {
        let error = kapelle::Config::parse(text, "kapelle.yaml").unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}
