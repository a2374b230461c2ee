//! The server is killed again and again under clients and hosts; hosts are killed and frozen too.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use kapelle_testkit::rng::Rng;
use serde_json::Value;

use crate::{
    checker,
    fleet::{Host, Kind},
    history::{History, What},
    load::Client,
    place::{Place, micros, now, number, pause, there},
};

const CLIENTS: u64 = 8;
/// Kills of one folder; then everything may end, and the next begins in a fresh folder.
const KILLS_OF_A_FOLDER: u64 = 100;
/// Longest life of the server, in milliseconds.
const KILL_WITHIN_MS: u64 = 360;
/// A lease, the time in which its end is seen, and what a busy machine needs for what waited behind it.
const DRAINED_WITHIN: Duration = Duration::from_secs(30);

/// Counts of what was done.
#[derive(Default)]
struct Figures {
    starts_ms: Vec<u64>,
    tasks: usize,
    events: usize,
    completions: usize,
    late: usize,
    host_kills: u64,
    drained: Duration,
}

/// Plays one folder: kills, then calm, then the check.
fn episode(rounds: u64, chance: &mut Rng, figures: &mut Figures) {
    let mut place = Place::new(chance);
    let mut hosts = vec![
        Host::start(&place, Kind::Python, "python", "plain"),
        Host::start(&place, Kind::Node, "node", "plain"),
        Host::start(&place, Kind::Python, "second", "plain"),
        Host::start(&place, Kind::Kapelle, "kapelle", "far"),
        Host::start(&place, Kind::Polling, "polling", "far"),
    ];
    let stop = AtomicBool::new(false);
    let mut history = History::default();
    let mut clients: Vec<Client> = std::thread::scope(|scope| {
        let clients = (0..CLIENTS).map(|number| Client::new(place.http(), number, Rng::new(chance.below(u64::MAX))));
        let working: Vec<_> = clients.map(|client| scope.spawn(|| client.until(&stop))).collect();
        for _ in 0..rounds {
            figures.host_kills += disturb(&place, &mut hosts, chance);
            pause(20 + chance.below(KILL_WITHIN_MS));
            hosts.iter().for_each(|host| host.freeze(false));
            place.kill();
            pause(chance.below(30));
            figures.starts_ms.push(u64::try_from(place.start().as_millis()).unwrap());
        }
        freeze_one_at_work(&hosts[..3], &mut history);
        stop.store(true, Ordering::Relaxed);
        working.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let calm = now();
    look_until_all_have_ended(&mut clients, &hosts, &place);
    figures.drained = figures.drained.max(calm.elapsed());
    thaw(&hosts[..3], &history);
    let all = everything(&place);
    for client in &mut clients {
        assert!(client.faults.is_empty(), "{:#?}", client.faults);
        client.events.drain(..).for_each(|(task, span, what)| history.add(&task, span, what));
    }
    hosts.iter().for_each(|host| history.read(host.log()));
    drop(hosts);
    // Every submission was repeated under its key until it was acknowledged: each exists exactly once.
    let known: BTreeSet<String> = history.tasks.keys().cloned().collect();
    assert_eq!(all, known, "tasks that nobody submitted, or that were submitted twice");
    let faults = checker::check(&history);
    assert!(
        faults.is_empty(),
        "{} faults:\n{}\n{}",
        faults.len(),
        faults[..faults.len().min(5)].join("\n"),
        place.log()
    );
    figures.tasks += history.tasks.len();
    for event in history.tasks.values().flatten() {
        figures.events += 1;
        if let What::Reported(report) = &event.what {
            figures.completions += usize::from(report.outcome == "succeed" && report.told == "accepted");
            figures.late += usize::from(report.told == "lease_lost");
        }
    }
}

/// Kills a host now and then, or freezes one for a round. Returns how many were killed.
fn disturb(place: &Place, hosts: &mut [Host], chance: &mut Rng) -> u64 {
    if !chance.once_in(6) {
        return 0;
    }
    let at = usize::try_from(chance.below(hosts.len() as u64)).unwrap();
    if chance.once_in(2) {
        hosts[at].freeze(true);
        return 0;
    }
    hosts[at].replace(place);
    1
}

/// Freezes a host with a task in hand, for the whole of the calm.
fn freeze_one_at_work(hosts: &[Host], history: &mut History) {
    let begun = now();
    while begun.elapsed() < Duration::from_secs(2) {
        for host in hosts {
            host.freeze(true);
            if !host.in_hand().is_empty() {
                history.frozen.insert(host.name.clone(), micros());
                return;
            }
            host.freeze(false);
            pause(2);
        }
    }
}

/// Resumes it and waits until it has reported its tasks, which is refused by now.
fn thaw(hosts: &[Host], history: &History) {
    let Some(host) = hosts.iter().find(|host| history.frozen.contains_key(&host.name)) else { return };
    let held = host.in_hand();
    host.freeze(false);
    let begun = now();
    while host.in_hand().iter().any(|open| held.contains(open)) {
        assert!(begun.elapsed() < DRAINED_WITHIN, "{} does not report any more", host.name);
        pause(20);
    }
}

fn look_until_all_have_ended(clients: &mut [Client], hosts: &[Host], place: &Place) {
    let begun = now();
    for client in clients {
        let mut tasks: Vec<String> = client.events.iter().map(|(task, ..)| task.clone()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        for task in tasks {
            // A connection that was silent for long has been closed: the first question on it may have no answer.
            let mut silent = 0;
            loop {
                let look = client.look(&task, 2_000);
                silent += u32::from(look.is_none());
                if look.as_ref().is_some_and(|look| look.ended()) || silent > 3 {
                    break;
                }
                if begun.elapsed() > DRAINED_WITHIN {
                    let hosts: String = hosts.iter().map(|host| host.tells_of(&task)).collect();
                    panic!("{task} does not end: {look:?}\n{hosts}\n{}", place.log());
                }
            }
        }
    }
}

/// Returns every task of the server.
fn everything(place: &Place) -> BTreeSet<String> {
    let (mut http, mut all, mut cursor) = (place.http(), BTreeSet::new(), String::new());
    loop {
        let page = http.get(&format!("/api/v1/tasks?limit=1000{cursor}")).unwrap().json(200);
        for task in page["tasks"].as_array().unwrap() {
            assert_eq!(task["dead"], Value::Null, "blamed for kills: {task}");
            all.insert(task["id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn killed_under_clients_and_hosts_the_server_loses_nothing_and_accepts_nothing_twice() {
    if !there(&["python3", "node"]) {
        return;
    }
    let rounds = number("KAPELLE_HOST_ROUNDS", 20);
    let seed = number("KAPELLE_CRASH_SEED", 1);
    let (mut chance, mut figures, begun) = (Rng::new(seed), Figures::default(), now());
    let mut left = rounds;
    while left > 0 {
        let some = left.min(KILLS_OF_A_FOLDER);
        episode(some, &mut chance, &mut figures);
        left -= some;
    }
    let Figures { mut starts_ms, tasks, events, completions, late, host_kills, drained } = figures;
    starts_ms.sort_unstable();
    let at = |share: usize| starts_ms[(starts_ms.len() - 1) * share / 100];
    println!(
        "seed {seed}: {rounds} kills of the server and {host_kills} of hosts in {:.0} s; {tasks} tasks, {events} answers \
         checked, {completions} completions by hosts, {late} late reports refused; serving again in {} ms (p99 {} ms); \
         everything ended within {:.1} s of calm",
        begun.elapsed().as_secs_f64(),
        at(50),
        at(99),
        drained.as_secs_f64(),
    );
}
