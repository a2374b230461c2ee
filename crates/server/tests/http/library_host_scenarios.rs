//! A worker host of the library over every transport: frozen, cut, raced by cancels, under wrong clocks, with a thousand
//! attempts, behind proxies.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use kapelle::{TaskError, WorkerSpec};
use kapelle_api::Client;
use kapelle_host::{Host, HostError, HostEvent, HostHandle};
use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    host_stream,
    host_stream_scenarios::{DECADE_MS, HOUR_MS, MovedClock, place_with},
    place::Place,
    relay::{Relay, Treatment},
};

/// A transport between a host and its server.
#[derive(Debug, Clone, Copy)]
enum Way {
    Duplex,
    Stream,
    Poll,
}

const WAYS: [Way; 3] = [Way::Duplex, Way::Stream, Way::Poll];

impl Way {
    fn treatments(self) -> &'static [Treatment] {
        match self {
            Way::Stream => &[Treatment::Refused("/duplex")],
            Way::Duplex | Way::Poll => &[],
        }
    }
}

/// A host behind a relay, with one worker that begins each attempt and ends it when it may.
struct Working {
    relay: Relay,
    handle: HostHandle,
    work: JoinHandle<Result<(), HostError>>,
    /// The inputs of attempts as they begin.
    begun: mpsc::UnboundedReceiver<Value>,
    /// The inputs of attempts that were stopped.
    stopped: mpsc::UnboundedReceiver<Value>,
    told: mpsc::UnboundedReceiver<HostEvent>,
    /// Room for attempts to end.
    gate: Arc<Semaphore>,
}

/// Sends the input of an attempt that is dropped before its end.
struct Open(Option<Value>, mpsc::UnboundedSender<Value>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(input) = self.0.take() {
            let _ = self.1.send(input);
        }
    }
}

impl Working {
    async fn start(place: &Place, way: Way, name: &'static str, slots: u32) -> Working {
        Working::behind(place, Relay::to(place.address(), way.treatments()).await, way, name, slots).await
    }

    async fn behind(place: &Place, relay: Relay, way: Way, name: &'static str, slots: u32) -> Working {
        let (begin, begun) = mpsc::unbounded_channel();
        let (stop, stopped) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let worker = kapelle::function(WorkerSpec { slots, ..WorkerSpec::named("far") }, move |input: Value| {
            let (begin, stop, opened) = (begin.clone(), stop.clone(), Arc::clone(&opened));
            async move {
                let _ = begin.send(input.clone());
                let mut open = Open(Some(input), stop);
                opened.acquire().await.map_err(|_| TaskError::new(kapelle::Category::Crashed, "closed"))?.forget();
                Ok(json!({ "by": name, "input": open.0.take() }))
            }
        });
        let client = Client::new(&relay.url(), &place.token).unwrap();
        let host = Host::builder(client).name(name).slots(slots).worker(worker).long_poll(matches!(way, Way::Poll));
        let host = host.on_event(move |event| drop(tell.send(event.clone()))).build().unwrap();
        let handle = host.handle();
        let work = tokio::spawn(host.run());
        while !matches!(told.recv().await, Some(HostEvent::Working { .. })) {}
        Working { relay, handle, work, begun, stopped, told, gate }
    }

    async fn begins(&mut self) -> Value {
        within(self.begun.recv()).await.unwrap()
    }

    /// Lets that number of attempts end.
    fn finish(&self, attempts: usize) {
        self.gate.add_permits(attempts);
    }

    async fn end(self) {
        self.handle.stop();
        within(self.work).await.unwrap().unwrap();
    }
}

/// Time limit of anything that is waited for.
async fn within<T>(waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap()
}

async fn ended(place: &Place, id: &str) -> Value {
    let shown = place.get(&format!("/api/v1/tasks/{id}?wait_ms=60000")).await.json(200);
    assert!(["succeeded", "failed", "cancelled"].contains(&shown["state"].as_str().unwrap()), "{shown}");
    shown
}

/// Waits that long at the server.
async fn pass(place: &Place, ms: u64) {
    let idle = host_stream::host_as(place, &place.token, "idle").await;
    let claimed = place.post(&format!("{idle}/claim"), json!({ "max_tasks": 1, "wait_ms": ms })).await.json(200);
    assert_eq!(claimed["tasks"], json!([]));
}

/// S11 and S12: what a frozen host reports and renews after its lease is refused, and it stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_frozen_beyond_its_lease_counts_no_more() {
    for way in WAYS {
        let limits = Limits { lease: Duration::from_millis(1_500), ack: Duration::from_secs(60), ..Limits::default() };
        let place = Place::with(limits).await;
        let mut frozen = Working::start(&place, way, "frozen", 2).await;
        let ids = [place.submit("far", json!(1)).await, place.submit("far", json!(2)).await];
        let first = frozen.begins().await;
        let second = frozen.begins().await;
        frozen.relay.freeze(true);
        // One of the two ends, and its report is on the way; the other works on.
        frozen.finish(1);
        let mut other = Working::start(&place, way, "other", 2).await;
        other.finish(2);
        assert_eq!((other.begins().await.is_null(), other.begins().await.is_null()), (false, false));
        for id in &ids {
            let shown = ended(&place, id).await;
            let told = (&shown["state"], &shown["attempt"], &shown["output"]["by"]);
            assert_eq!(told, (&json!("succeeded"), &json!(2), &json!("other")), "{way:?}");
        }
        frozen.relay.freeze(false);
        let stopped = within(frozen.stopped.recv()).await.unwrap();
        assert!(stopped == first || stopped == second, "{way:?}");
        let refused = async {
            loop {
                if let HostEvent::ReportRefused { lease_token: Some(_), why } = frozen.told.recv().await.unwrap() {
                    return why;
                }
            }
        };
        assert!(within(refused).await.contains("lease"), "{way:?}");
        for id in &ids {
            assert_eq!(ended(&place, id).await["output"]["by"], "other", "{way:?}");
        }
        // It works on.
        other.end().await;
        let again = place.submit("far", json!(3)).await;
        frozen.finish(1);
        assert_eq!(ended(&place, &again).await["output"]["by"], "frozen", "{way:?}");
        frozen.end().await;
    }
}

/// S13: a task that has ended stays as it is, whether its report or its cancel came first.
#[tokio::test(flavor = "multi_thread")]
async fn ends_that_race_with_cancels_are_ends() {
    for way in WAYS {
        let place = Place::new().await;
        let host = Working::start(&place, way, "racing", 8).await;
        host.finish(200);
        let batch = json!({ "tasks": vec![json!({ "worker": "far", "input": 1 }); 100] });
        let made = place.post("/api/v1/tasks/batch", batch).await.json(201);
        let ids: Vec<String> = serde_json::from_value(made["ids"].clone()).unwrap();
        let mut seen = BTreeMap::new();
        for id in ids.iter().rev() {
            let answer = place.post(&format!("/api/v1/tasks/{id}/cancel"), json!({})).await;
            let shown = ended(&place, id).await;
            assert!(answer.status == 200 || shown["state"] == "succeeded", "{way:?}: {shown}");
            seen.insert(id, shown["state"].clone());
        }
        for (id, state) in seen {
            assert_eq!(ended(&place, id).await["state"], state, "{way:?}");
        }
        // All slots are free again.
        let last = place.submit("far", json!(2)).await;
        assert_eq!(ended(&place, &last).await["state"], "succeeded", "{way:?}");
        host.end().await;
    }
}

/// S14: what was sent to a host that never read it goes to another within two seconds, not after a lease.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_never_arrive_go_to_another_host_soon() {
    for way in WAYS {
        let place = Place::new().await;
        let deaf = Working::start(&place, way, "deaf", 1).await;
        // One task has gone through, so that the next is sent on the same way.
        deaf.finish(1);
        ended(&place, &place.submit("far", json!(0)).await).await;
        deaf.relay.freeze(true);
        let (id, sent) = (place.submit("far", json!(1)).await, Instant::now());
        pass(&place, 300).await;
        let other = Working::start(&place, way, "other", 1).await;
        other.finish(1);
        let shown = ended(&place, &id).await;
        assert_eq!(shown["output"]["by"], "other", "{way:?}: {shown}");
        assert!(sent.elapsed() < Duration::from_secs(10), "{way:?}: {:?}", sent.elapsed());
        other.end().await;
        deaf.work.abort();
    }
}

/// Attempts go on over a cut; tasks that were sent into a cut connection are offered again, and none is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn cuts_lose_no_task_and_double_none() {
    for way in WAYS {
        let place = Place::with(Limits { ack: Duration::from_secs(4), ..Limits::default() }).await;
        let mut host = Working::start(&place, way, "cut", 8).await;
        let (mut ids, mut cuts) = (Vec::new(), 0);
        for n in 0..100 {
            ids.push(place.submit("far", json!(n)).await);
            host.finish(1);
            if n % 10 == 5 {
                host.relay.cut();
                cuts += 1;
            }
            if n % 10 == 9 && !matches!(way, Way::Poll) {
                within(host.relay.until_streams(1 + cuts)).await;
            }
        }
        for id in &ids {
            assert_eq!(ended(&place, id).await["state"], "succeeded", "{way:?}");
        }
        let mut times = BTreeMap::new();
        while let Ok(input) = host.begun.try_recv() {
            *times.entry(input.to_string()).or_insert(0) += 1;
        }
        assert_eq!(times.len(), 100, "{way:?}");
        assert!(times.values().all(|times| *times == 1), "{way:?}: {times:?}");
        host.end().await;
    }
}

/// S15: leases are counted on the monotonic clock.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_jump_end_no_attempt_of_a_host() {
    for (way, jump) in WAYS.into_iter().zip([HOUR_MS, -HOUR_MS, DECADE_MS]) {
        let clock = Arc::new(MovedClock::default());
        let limits = Limits { lease: Duration::from_millis(1_500), ..Limits::default() };
        let place = place_with(&clock, limits).await;
        let mut host = Working::start(&place, way, "steady", 2).await;
        let ids = [place.submit("far", json!(1)).await, place.submit("far", json!(2)).await];
        host.begins().await;
        host.begins().await;
        clock.set(jump);
        pass(&place, 2_000).await;
        clock.set(-jump);
        pass(&place, 2_000).await;
        host.finish(2);
        for id in &ids {
            let shown = ended(&place, id).await;
            assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)), "{way:?}: {shown}");
        }
        host.end().await;
    }
}

/// S16: the host works on under a server whose clock is ten minutes off.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_goes_over_to_a_server_with_another_clock() {
    for (way, apart) in WAYS.into_iter().zip([10 * 60_000, -10 * 60_000, 10 * 60_000]) {
        let clock = Arc::new(MovedClock::default());
        let place = place_with(&clock, Limits::default()).await;
        let mut host = Working::start(&place, way, "moved", 2).await;
        let ids = [place.submit("far", json!(1)).await, place.submit("far", json!(2)).await];
        host.begins().await;
        host.begins().await;
        clock.set(apart);
        let place = place.again().await;
        host.relay.turn_to(place.address());
        host.finish(1);
        host.finish(2);
        for id in &ids {
            let shown = ended(&place, id).await;
            assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)), "{way:?}: {shown}");
        }
        let third = place.submit("far", json!(3)).await;
        assert_eq!(ended(&place, &third).await["attempt"], 1, "{way:?}");
        host.end().await;
    }
}

/// S18: heartbeats of a thousand attempts write nothing, and other work gets through.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_renewed_attempts_of_each_host_hold_nothing_up() {
    let limits = Limits { lease: Duration::from_millis(3_000), ack: Duration::from_secs(60), ..Limits::default() };
    let place = Place::with(limits).await;
    let mut hosts = Vec::new();
    for way in WAYS {
        let mut host = Working::start(&place, way, "many", 1_000).await;
        let batch = json!({ "tasks": vec![json!({ "worker": "far", "input": 1 }); 1_000] });
        place.post("/api/v1/tasks/batch", batch).await.json(201);
        for _ in 0..1_000 {
            host.begins().await;
        }
        hosts.push(host);
    }
    let idle = host_stream::host_as(&place, &place.token, "idle").await;
    let written = || std::fs::metadata(place.path("kapelle.db-wal")).and_then(|file| file.modified()).unwrap();
    let mut quiet = false;
    for _ in 0..4 {
        // More than a lease passes, in which each host renews three times.
        let before: SystemTime = written();
        let claim = json!({ "max_tasks": 1, "wait_ms": 3_500 });
        place.post(&format!("{idle}/claim"), claim).await.json(200);
        quiet |= written() == before;
    }
    let mut took = Vec::new();
    for n in 0..50 {
        let begun = Instant::now();
        let id = place.submit("echo", json!(n)).await;
        assert_eq!(ended(&place, &id).await["state"], "succeeded");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    println!("beside 3,000 renewed attempts: p50 {:?}, p98 {:?}", took[25], took[48]);
    assert!(quiet, "renewals are not written");
    assert!(took[48] < Duration::from_secs(2), "{took:?}");
    for mut host in hosts {
        assert!(host.stopped.try_recv().is_err() && host.begun.try_recv().is_err(), "no attempt was lost");
        host.finish(1_000);
        host.end().await;
    }
    let open = place.get("/api/v1/counts").await.json(200)["tasks"].clone();
    assert!(open.as_object().unwrap().values().all(|count| *count == 0), "{open}");
}

/// A proxy that collects bodies, or answers, gets what it lets through.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_collects_a_host_takes_another_way() {
    let both: &[Treatment] = &[Treatment::Held("/duplex"), Treatment::Refused("/stream")];
    let one: &[Treatment] = &[Treatment::Held("/duplex")];
    for (treatments, streams) in [(one, 1), (both, 0)] {
        let place = Place::new().await;
        let relay = Relay::to(place.address(), treatments).await;
        let mut host = Working::behind(&place, relay, Way::Duplex, "behind", 1).await;
        host.finish(1);
        let id = place.submit("far", json!(1)).await;
        assert_eq!(ended(&place, &id).await["state"], "succeeded");
        assert_eq!(host.relay.streams(), streams);
        let polls = matches!(host.told.try_recv(), Ok(HostEvent::Polling { .. }));
        assert_eq!(polls, streams == 0);
        host.end().await;
    }
}

/// A worker that blocks every thread of the runtime keeps its lease: heartbeats have a thread of their own.
#[tokio::test]
async fn a_worker_that_blocks_the_runtime_keeps_its_lease() {
    let place = tokio::task::spawn_blocking(|| {
        let (given, place) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let place = Place::with(Limits { lease: Duration::from_millis(1_500), ..Limits::default() }).await;
                given.send((place.address(), place.token.clone(), place)).unwrap();
                std::future::pending::<()>().await;
            });
        });
        place.recv().unwrap()
    });
    let (address, token, place) = place.await.unwrap();
    let attempts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&attempts);
    let worker = kapelle::function(WorkerSpec::named("blocks"), move |_input: Value| {
        let counted = Arc::clone(&counted);
        async move {
            *counted.lock().unwrap() += 1;
            // The fault of the worker's author: nothing else runs on this thread meanwhile.
            let (_held, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(Duration::from_millis(3_500));
            Ok(json!("done"))
        }
    });
    let client = Client::new(&format!("http://{address}"), &token).unwrap();
    let works = Arc::new(tokio::sync::Notify::new());
    let working = Arc::clone(&works);
    let host = Host::builder(client).worker(worker).on_event(move |_| working.notify_one()).build().unwrap();
    let handle = host.handle();
    let running = tokio::spawn(host.run());
    works.notified().await;
    let id = place.submit("blocks", json!(1)).await;
    let shown = ended(&place, &id).await;
    assert_eq!((&shown["attempt"], &shown["output"]), (&json!(1), &json!("done")), "{shown}");
    assert_eq!(*attempts.lock().unwrap(), 1);
    handle.stop();
    running.await.unwrap().unwrap();
}
