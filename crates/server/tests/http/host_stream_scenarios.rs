//! Streams of worker hosts under cancels, wrong clocks and storms of heartbeats.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use kapelle::{
    core::Timestamp,
    engine::{Clock, SystemClock},
};
use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    host_stream::{done, frame, host, open, state, tasks},
    lines::JsonLines,
    place::{Place, Setup},
};

pub const HOUR_MS: i64 = 3_600_000;
pub const DECADE_MS: i64 = 10 * 365 * 24 * HOUR_MS;

/// A clock whose wall time a test moves, as a person or a time server does. The monotonic time goes on.
#[derive(Default)]
pub struct MovedClock {
    machine: SystemClock,
    moved_ms: AtomicI64,
}

impl MovedClock {
    pub fn set(&self, ms: i64) {
        self.moved_ms.store(ms, Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.machine.now().0 + self.moved_ms.load(Ordering::SeqCst))
    }

    fn steady_ms(&self) -> u64 {
        self.machine.steady_ms()
    }
}

pub async fn place_with(clock: &Arc<MovedClock>, limits: Limits) -> Place {
    Place::set_up(Setup { limits, clock: Some(Arc::clone(clock) as _), ..Setup::default() }).await
}

/// Reads that number of pushed tasks.
async fn pushed(lines: &mut JsonLines, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(tasks(lines.told().await));
    }
    all
}

/// Reads that number of pushed cancels.
async fn cancels(lines: &mut JsonLines, count: usize) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    while all.len() < count {
        let line = lines.told().await.unwrap();
        let tokens = line["cancel"].as_array().unwrap_or_else(|| panic!("no cancels: {line}"));
        all.extend(tokens.iter().map(|token| token.as_str().unwrap().to_owned()));
    }
    all
}

fn tokens(tasks: &[Value]) -> BTreeSet<String> {
    tasks.iter().map(|task| task["lease_token"].as_str().unwrap().to_owned()).collect()
}

/// These cancels come on the stream alone: the host sends no heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn cancels_are_pushed_and_the_stream_goes_on() {
    let place = Place::with(Limits { ack: Duration::from_millis(300), ..Limits::default() }).await;
    let (ours, other) = (host(&place).await, host(&place).await);
    let (mut lines, stream) = open(&place, &ours, 9).await;
    let ids = [place.submit("far", json!({})).await, place.submit("far", json!({})).await];
    let begun = pushed(&mut lines, 2).await;
    // One has arrived, the other has not.
    frame(&place, &ours, json!({ "ack": [begun[0]["lease_token"]] })).await;
    for id in &ids {
        place.post(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await.json(200);
    }
    assert_eq!(cancels(&mut lines, 2).await, tokens(&begun));
    // Longer than the time to acknowledge.
    let waited = place.post(&format!("{other}/claim"), json!({ "max_tasks": 1, "wait_ms": 700 })).await.json(200);
    assert_eq!(waited["tasks"], json!([]));
    let answer = frame(&place, &ours, json!({ "stream": stream, "reports": [done(&begun[0], 1)] })).await;
    assert_eq!(answer["results"][0]["code"], "lease_lost", "{answer}");

    // A step of a run that is cancelled.
    let source = "name: far\nsteps:\n  a: { worker: far }\n";
    let run = place.post("/api/v1/runs", json!({ "source": source })).await.json(201);
    let step = pushed(&mut lines, 1).await;
    frame(&place, &ours, json!({ "ack": [step[0]["lease_token"]] })).await;
    place.post(&format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap()), json!({})).await.json(200);
    assert_eq!(cancels(&mut lines, 1).await, tokens(&step));

    // An attempt whose host renews it beyond its time, and reports nothing.
    let slow = json!({ "worker": "far", "timeout_ms": 100, "retry": { "max_attempts": 1 } });
    place.post("/api/v1/tasks", slow).await.json(201);
    let late = pushed(&mut lines, 1).await;
    frame(&place, &ours, json!({ "tasks": [{ "lease_token": late[0]["lease_token"] }] })).await;
    assert_eq!(cancels(&mut lines, 1).await, tokens(&late));

    // A report of the host's own is no reason to tell it anything.
    let last = place.submit("far", json!({})).await;
    let task = pushed(&mut lines, 1).await;
    frame(&place, &ours, json!({ "reports": [done(&task[0], 5)] })).await;
    assert_eq!(state(&place, &last).await, "succeeded");
    place.submit("far", json!({})).await;
    assert_eq!(pushed(&mut lines, 1).await.len(), 1);
}

/// A client that reads late gets each cancel after its task.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_never_comes_before_its_task() {
    let place = Place::with(Limits { ack: Duration::from_secs(60), ..Limits::default() }).await;
    let host = host(&place).await;
    let (mut lines, _) = open(&place, &host, 100).await;
    for _ in 0..50 {
        let id = place.submit("far", json!({})).await;
        place.post(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await.json(200);
    }
    let (mut seen, mut cancelled) = (BTreeSet::new(), 0);
    while cancelled < 50 {
        let line = lines.told().await.unwrap();
        match line["cancel"].as_array() {
            Some(tokens) => {
                cancelled += tokens.len();
                assert!(tokens.iter().all(|token| seen.contains(token.as_str().unwrap())), "{line}");
            }
            None => seen.extend(tokens(&tasks(Some(line)))),
        }
    }
}

/// Leases are counted on the monotonic clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_no_attempt_and_makes_no_lease_longer() {
    for jump in [HOUR_MS, -HOUR_MS, DECADE_MS] {
        let clock = Arc::new(MovedClock::default());
        let limits = Limits { lease: Duration::from_millis(1_500), ack: Duration::from_secs(60), ..Limits::default() };
        let place = place_with(&clock, limits).await;
        let ours = host(&place).await;
        let (mut lines, stream) = open(&place, &ours, 2).await;
        let ids = [place.submit("far", json!({})).await, place.submit("far", json!({})).await];
        let begun = pushed(&mut lines, 2).await;
        clock.set(jump);
        let beat = json!({ "lease_token": begun[1]["lease_token"] });
        let answer = frame(&place, &ours, json!({ "tasks": [beat], "reports": [done(&begun[0], 1)] })).await;
        assert_eq!((&answer["results"][0]["accepted"], &answer["cancel"]), (&json!(true), &json!([])), "{jump}");
        let shown = place.get(&format!("/api/v1/tasks/{}", begun[0]["id"].as_str().unwrap())).await.json(200);
        assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)), "{jump}");
        // Pushed after the jump, too.
        let third = place.submit("far", json!({})).await;
        frame(&place, &ours, json!({ "stream": stream, "credit": 3 })).await;
        let more = pushed(&mut lines, 1).await;
        assert_eq!(more[0]["id"], json!(third), "{jump}");
        // A host that is silent from now on loses both within a lease, and not an hour later.
        let told = loop {
            let line = lines.told().await.unwrap();
            if line["cancel"].is_null() {
                break line;
            }
        };
        assert_eq!(told, json!({ "end": "silent" }), "{jump}");
        let (other, both) = (host(&place).await, BTreeSet::from([ids[1].clone(), third]));
        let mut again = BTreeSet::new();
        while again != both {
            let claim = json!({ "max_tasks": 2, "wait_ms": 20_000 });
            let claimed = place.post(&format!("{other}/claim"), claim).await.json(200);
            let claimed = claimed["tasks"].as_array().unwrap();
            assert!(!claimed.is_empty(), "{jump}: {again:?} alone came again");
            again.extend(claimed.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        }
    }
}

/// A server whose clock is ten minutes off takes over: its verdicts are those of the first.
#[tokio::test(flavor = "multi_thread")]
async fn servers_with_different_clocks_decide_alike() {
    for apart in [10 * 60_000, -10 * 60_000] {
        let clock = Arc::new(MovedClock::default());
        let place = place_with(&clock, Limits::default()).await;
        let before = host(&place).await;
        let (mut lines, _) = open(&place, &before, 4).await;
        for _ in 0..2 {
            place.submit("far", json!({})).await;
        }
        let begun = pushed(&mut lines, 2).await;
        let stale = frame(
            &place,
            &before,
            json!({ "reports": [{ "lease_token": begun[1]["lease_token"],
            "outcome": "release" }] }),
        );
        assert_eq!(stale.await["results"][0]["accepted"], true);
        // The second attempt of the task that was released.
        let again = pushed(&mut lines, 1).await.remove(0);
        let held = json!([{ "lease_token": begun[0]["lease_token"] }, { "lease_token": again["lease_token"] }]);
        frame(&place, &before, json!({ "tasks": held })).await;
        clock.set(apart);
        let place = place.again().await;
        let after = host(&place).await;
        let (_lines, _) = open(&place, &after, 4).await;
        let beats = json!([{ "lease_token": begun[0]["lease_token"] }, { "lease_token": begun[1]["lease_token"] },
            { "lease_token": again["lease_token"] }]);
        let answer = frame(&place, &after, json!({ "tasks": beats })).await;
        assert_eq!(answer["cancel"], json!([begun[1]["lease_token"]]), "{apart}: the stale one alone");
        let reports: Vec<Value> = [&begun[0], &begun[1], &again].map(|task| done(task, 1)).into();
        let answer = frame(&place, &after, json!({ "reports": reports })).await;
        let codes: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|result| &result["code"]).collect();
        assert_eq!(codes, [&Value::Null, &json!("lease_lost"), &Value::Null], "{apart}: {answer}");
    }
}

/// Attempts and hosts of the storm.
const ATTEMPTS: usize = 10_000;
const HOSTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_renewals_writes_nothing_and_lets_other_work_through() {
    let place = Arc::new(Place::with(Limits { ack: Duration::from_secs(120), ..Limits::default() }).await);
    let ours = host(&place).await;
    let batch = vec![json!({ "worker": "far", "input": {} }); ATTEMPTS];
    place.post("/api/v1/tasks/batch", json!({ "tasks": batch })).await.json(201);
    let (mut hosts, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..HOSTS {
        let host = host(&place).await;
        let (mut lines, _) = open(&place, &host, (ATTEMPTS / HOSTS) as u64).await;
        let beats: Vec<Value> = pushed(&mut lines, ATTEMPTS / HOSTS)
            .await
            .iter()
            .map(|task| json!({ "lease_token": task["lease_token"] }))
            .collect();
        hosts.push((host, beats));
        streams.push(lines);
    }
    let written = || std::fs::metadata(place.path("kapelle.db-wal")).and_then(|file| file.modified()).unwrap();
    let storm = async || {
        let mut frames = JoinSet::new();
        for (host, beats) in hosts.clone() {
            let place = Arc::clone(&place);
            frames.spawn(async move { frame(&place, &host, json!({ "tasks": beats })).await });
        }
        for answer in frames.join_all().await {
            assert_eq!(answer["cancel"], json!([]));
        }
    };
    storm().await;
    // Something else may write now and then; a commit for each renewal, host or frame would write in every storm.
    let mut quiet = false;
    for _ in 0..5 {
        let before: SystemTime = written();
        storm().await;
        quiet |= written() == before;
    }
    assert!(quiet, "renewals are not written");
    let (mut lines, _) = open(&place, &ours, 1).await;
    let through = async {
        let id = place.submit("far", json!({})).await;
        let task = pushed(&mut lines, 1).await.remove(0);
        frame(&place, &ours, json!({ "reports": [done(&task, 1)] })).await;
        assert_eq!(state(&place, &id).await, "succeeded");
    };
    tokio::join!(through, storm(), storm());
}
