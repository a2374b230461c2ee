//! Hosts that die or freeze while the server lives: their work goes to others within a lease, and their later reports
//! do not count.

use std::time::{Duration, Instant};

use kapelle_testkit::rng::Rng;
use serde_json::{Value, json};

use crate::{
    fleet::{Host, Kind},
    history::{Reported, What},
    place::{Place, now, pause, there},
};

/// A lease of 15 seconds, and two more in which its end is seen.
const MOVED_WITHIN: Duration = Duration::from_secs(17);
/// Time limit for the visible work of any host.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, mut seen: impl FnMut() -> bool) -> Instant {
    let begun = now();
    while !seen() {
        assert!(begun.elapsed() < PATIENCE, "{what} was not seen");
        pause(10);
    }
    now()
}

/// Returns the attempts of a task that a host claimed.
fn claims(host: &Host, task: &str) -> Vec<u64> {
    let events = host.seen().tasks.remove(task).unwrap_or_default();
    let attempts = events.into_iter().filter_map(|event| match event.what {
        What::Claimed { attempt, .. } => Some(attempt),
        _ => None,
    });
    attempts.collect()
}

fn reports(host: &Host, task: &str) -> Vec<Reported> {
    let events = host.seen().tasks.remove(task).unwrap_or_default();
    let reports = events.into_iter().filter_map(|event| match event.what {
        What::Reported(report) => Some(report),
        _ => None,
    });
    reports.collect()
}

#[test]
fn what_a_dead_or_frozen_host_had_goes_to_another_in_time_and_its_late_answer_is_refused() {
    if !there(&["python3", "node"]) {
        return;
    }
    let place = Place::new(&mut Rng::new(u64::from(std::process::id())));
    let frozen = Host::start(&place, Kind::Python, "frozen", "far");
    let mut killed = Host::start(&place, Kind::Node, "killed", "near");
    let submit = |worker: &str, n: u64| {
        let body = json!({ "worker": worker, "input": { "n": n, "ms": 700 } });
        place.http().post("/api/v1/tasks", &body).unwrap().json(201)["id"].as_str().unwrap().to_owned()
    };
    let (far, near) = (submit("far", 1), submit("near", 2));
    until("a claim", || !claims(&frozen, &far).is_empty() && !claims(&killed, &near).is_empty());
    frozen.freeze(true);
    killed.kill();
    let gone = now();
    let other = Host::start(&place, Kind::Node, "other", "far,near");
    let moved = until("the claim of another", || !claims(&other, &far).is_empty() && !claims(&other, &near).is_empty());
    let took = moved.duration_since(gone);
    assert!(took <= MOVED_WITHIN, "it took {took:?}");
    frozen.freeze(false);
    until("the late report", || !reports(&frozen, &far).is_empty());
    let late = reports(&frozen, &far).remove(0);
    assert_eq!((late.told.as_str(), late.attempt), ("lease_lost", 1));
    until("the reports of the other", || !reports(&other, &far).is_empty() && !reports(&other, &near).is_empty());
    for task in [&far, &near] {
        let shown = place.http().get(&format!("/api/v1/tasks/{task}")).unwrap().json(200);
        assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(2)), "{shown}");
        assert_eq!((&shown["output"]["by"], &shown["output"]["attempt"]), (&json!("other"), &json!(2)), "{shown}");
        assert_eq!(reports(&other, task)[0].told, "accepted");
    }
    println!("moved to another host after {:.1} s", took.as_secs_f64());
}

/// A frozen host may have been sent tasks that it will never read: it does not acknowledge them.
#[test]
fn what_a_host_never_read_goes_to_another_long_before_a_lease_ends() {
    for kind in [Kind::Kapelle, Kind::Polling] {
        let place = Place::new(&mut Rng::new(u64::from(std::process::id()) + 1));
        let mut http = place.http();
        let submit = |http: &mut crate::http::Http, n: u64| {
            let body = json!({ "worker": "far", "input": { "text": format!("room {n} needs light") } });
            http.post("/api/v1/tasks", &body).unwrap().json(201)["id"].as_str().unwrap().to_owned()
        };
        let ended = |http: &mut crate::http::Http, task: &str| {
            let shown: Value = http.get(&format!("/api/v1/tasks/{task}?wait_ms=20000")).unwrap().json(200);
            assert_eq!(shown["state"], "succeeded", "{kind:?}: {shown}");
            shown["attempt"].as_u64().unwrap()
        };
        let deaf = Host::start(&place, kind, "deaf", "far");
        // It has its stream, or polls again.
        let first = submit(&mut http, 0);
        ended(&mut http, &first);
        pause(200);
        deaf.freeze(true);
        let other = Host::start(&place, kind, "other", "far");
        let begun = now();
        // The deaf host gets some of them.
        let tasks: Vec<String> = (1..=12).map(|n| submit(&mut http, n)).collect();
        let attempts: u64 = tasks.iter().map(|task| ended(&mut http, task)).sum();
        let took = begun.elapsed();
        assert!(attempts > 12, "{kind:?}: nothing was sent to the host that stood still");
        assert!(took < Duration::from_secs(6), "{kind:?}: it took {took:?}");
        drop(other);
        println!("{kind:?}: what was not read had moved after {:.1} s", took.as_secs_f64());
    }
}
