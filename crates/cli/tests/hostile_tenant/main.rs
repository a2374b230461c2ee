//! A hostile tenant beside a well-behaved one, on the real binary.
//!
//! The good tenant works steadily: alone, then in rounds in which the hostile tenant attacks first another server on the
//! same machine, then the same server. The other server is the control: it shows what the load of the attacker costs on
//! this machine without any shared server. The two alternate, so that other load of the machine meets both. The hostile
//! tenant has keys of every role of its own tenant, wrong keys, and requests without a key. It holds slow uploads,
//! downloads, streams and idle connections, sends large and expensive bodies, asks for resources of the other tenant,
//! serves workers under the other's names and forges reports.
//!
//! Afterwards: the good tenant's latency is at most twice the slower of alone and control, no answer to the
//! hostile tenant contained data of the good one, none of its money was spent, all of its tasks have their own answers,
//! and the server stayed within its memory.
//!
//! `KAPELLE_HOSTILE_SECONDS` sets the duration of the whole test (default 20 s), `KAPELLE_HOSTILE_SEED` the seed of the
//! random numbers, `KAPELLE_HOSTILE_FLOOR_MS` the latency below which the comparison is not asserted (default 60 ms).

#![expect(clippy::unwrap_used, reason = "a harness ends where something is not as it should be")]

#[path = "../served/http.rs"]
mod http;
#[path = "../served/place.rs"]
#[expect(dead_code, reason = "shared with the crash harness, which uses more of it")]
mod place;

mod bad;
mod good;
mod hold;
mod stage;
mod wire;

use std::{sync::Arc, time::Duration};

use kapelle_testkit::rng::Rng;

use crate::{
    bad::Bad,
    good::{Good, Took},
    place::{now, number},
    stage::Stage,
};

/// The most memory of the server at any moment, in MiB.
const MEMORY: u64 = 512;
/// Duration from which there are more rounds.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_hostile_tenant_costs_the_other_neither_time_nor_data_nor_money() {
    let seed = number("KAPELLE_HOSTILE_SEED", 14);
    let whole = Duration::from_secs(number("KAPELLE_HOSTILE_SECONDS", 20));
    let floor = Duration::from_millis(number("KAPELLE_HOSTILE_FLOOR_MS", 60));
    println!("seed {seed}, {} s", whole.as_secs());
    // Each held connection is an open file here as well as there.
    let _ = kapelle_supervisor::raise_open_files();
    let mut chance = Rng::new(seed);
    let stage = Arc::new(Stage::new(&mut chance));
    let other = Arc::new(Stage::new(&mut chance));
    let mut good = Good::new(&stage);
    good.work(now() + Duration::from_secs(1).min(whole / 10));
    good.forget();
    good.work(now() + whole / 4);
    let calm = good.took();
    let quiet = stage.memory().0;
    let rounds = if whole < LONG { 2 } else { 6 };
    let (mut elsewhere, mut here) = (Took::default(), Took::default());
    for _ in 0..rounds {
        elsewhere.add(beside(&other, &mut good, &mut chance, whole / 4 / rounds));
        here.add(beside(&stage, &mut good, &mut chance, whole / 2 / rounds));
    }
    let (_, peak) = stage.memory();
    println!("alone: {calm}\nattack on another server: {elsewhere}\nattack on this server: {here}");
    println!("memory: {quiet} MiB alone, at most {peak} MiB");
    stage.wire.report();
    good.has_what_is_its_own();
    stage.wire.has_no_leak();
    stage.has_its_money(good.calls());
    assert!(peak < MEMORY, "the server took {peak} MiB");
    let most = (calm.p99().max(elsewhere.p99()) * 2).max(floor);
    assert!(here.p99() <= most, "the good tenant waits {:?}, and {most:?} is the most", here.p99());
    assert!(Took::ends(&stage), "the server does not answer any more");
}

/// Lets the good tenant work while the hostile one attacks that server. Returns the latencies of the good tenant.
fn beside(attacked: &Arc<Stage>, good: &mut Good, chance: &mut Rng, duration: Duration) -> Took {
    let until = now() + duration;
    let bad = Bad::begin(attacked, chance, until);
    good.work(until);
    let took = good.took();
    bad.end();
    took
}
