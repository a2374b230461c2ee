//! A hostile tenant beside a well-behaved one, on the real binary.
//!
//! The good tenant works steadily, first alone and then beside the hostile one, which has keys of every role of its own
//! tenant, wrong keys, and none. It holds slow uploads, downloads, streams and idle connections, sends large and costly
//! bodies, asks for what is the other's, serves workers under the other's names and forges reports. Afterwards: the good
//! tenant's latency has at most doubled, nothing of its data stood in an answer to the other, none of its money was
//! spent, all of its tasks have their own answers, and the server stayed within its memory.
//!
//! `KAPELLE_HOSTILE_SECONDS` says how long it takes in all (20 when it does not), `KAPELLE_HOSTILE_SEED` which random
//! numbers there are, `KAPELLE_HOSTILE_FLOOR_MS` up to which latency nothing is asserted of it.

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

/// What the server may have in memory at any moment, in MiB.
const MEMORY: u64 = 512;

#[test]
fn a_hostile_tenant_costs_the_other_neither_time_nor_data_nor_money() {
    let seed = number("KAPELLE_HOSTILE_SEED", 14);
    let whole = Duration::from_secs(number("KAPELLE_HOSTILE_SECONDS", 20));
    let floor = Duration::from_millis(number("KAPELLE_HOSTILE_FLOOR_MS", 500));
    println!("seed {seed}, {} s", whole.as_secs());
    // Each held connection is an open file here as well as there.
    let _ = kapelle_supervisor::raise_open_files();
    let mut chance = Rng::new(seed);
    let stage = Arc::new(Stage::new(&mut chance));
    let mut good = Good::new(&stage);
    good.work(now() + Duration::from_secs(1).min(whole / 10));
    good.forget();
    good.work(now() + whole / 4);
    let calm = good.took();
    let quiet = stage.memory().0;
    let bad = Bad::begin(&stage, &mut chance, now() + whole * 3 / 4);
    good.work(now() + whole * 3 / 4);
    let beside = good.took();
    bad.end();
    let (_, peak) = stage.memory();
    println!("alone: {calm}\nbeside: {beside}\nmemory: {quiet} MiB alone, at most {peak} MiB");
    stage.wire.report();
    good.has_what_is_its_own();
    stage.wire.has_no_leak();
    stage.has_its_money(good.calls());
    assert!(peak < MEMORY, "the server took {peak} MiB");
    let most = (calm.p99() * 2).max(floor);
    assert!(beside.p99() <= most, "the good tenant waits {:?}, and {most:?} is the most", beside.p99());
    assert!(Took::ends(&stage), "the server does not answer any more");
}
