//! Power cuts, failing disks and full disks, simulated by a file layer below SQLite that records every write and sync,
//! or fails one of them.
//!
//! After a power cut the disk holds all synced data, and any part of the rest: each write whole, not at all, or torn
//! between sectors. From every such image the store must open and hold each turn whole, up to the last acknowledged one
//! at least. `KAPELLE_POWER_LOSS_IMAGES` sets the number of images.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod image;
mod shim;
mod workload;

use std::sync::{Mutex, MutexGuard, PoisonError};

use kapelle_store::{OpenOptions, SqliteStore, StoreError};

use crate::{
    image::{Disk, Verdict, judge},
    shim::{Call, Failure, Op},
    workload::{Outcome, Random, Scratch, Work},
};

/// The file layer is one for the process, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    shim::register();
    shim::start(None);
    guard
}

fn options(dangerous_no_sync: bool, checkpoint_pages: u32) -> OpenOptions {
    let mut options = OpenOptions::default();
    options.vfs = Some(shim::NAME.to_owned());
    options.dangerous_no_sync = dangerous_no_sync;
    options.checkpoint_pages = checkpoint_pages;
    options
}

#[derive(Debug, Default)]
struct Tally {
    images: usize,
    lost: usize,
    corrupt: Vec<String>,
}

/// Records histories of turns and cuts the power at random points of each.
fn cut_power(images: usize, dangerous_no_sync: bool, seed: u64) -> Tally {
    const PER_HISTORY: usize = 250;
    let mut tally = Tally::default();
    let target = Scratch::new();
    let mut random = Random::new(seed);
    while tally.images < images {
        let scratch = Scratch::new();
        shim::start(None);
        // Short logs are copied into the database often, long ones hold many turns: both cases are wanted.
        let pages = [8, 30, 120, 10_000][random.below(4)];
        let (mut store, _) = SqliteStore::open(scratch.path(), options(dangerous_no_sync, pages)).unwrap();
        let mut work = Work::new(random.next());
        for _ in 0..60 {
            assert_eq!(work.turn(&mut store), Outcome::Committed);
            shim::acknowledge(work.turns());
        }
        drop(store);
        let log = shim::stop();
        let mut cuts: Vec<usize> =
            (0..PER_HISTORY.min(images - tally.images)).map(|_| random.below(log.len())).collect();
        cuts.sort_unstable();
        let mut disk = Disk::default();
        let (mut done, mut acknowledged) = (0, 0);
        for cut in cuts {
            for op in &log[done..cut] {
                if let Op::Acknowledged(turn) = op {
                    acknowledged = *turn;
                }
                disk.apply(op);
            }
            done = cut;
            disk.image(&mut random, target.path());
            tally.images += 1;
            match judge(target.path(), &work, acknowledged) {
                Verdict::Fine => {}
                Verdict::Lost => tally.lost += 1,
                Verdict::Corrupt(why) => tally.corrupt.push(format!("cut {cut} of {}: {why}", log.len())),
            }
            if tally.images % 100 == 0 {
                // The whole start, too: with a migrated schema and ids that continue.
                SqliteStore::open(target.path(), OpenOptions::default()).unwrap();
            }
        }
    }
    tally
}

#[test]
fn no_acknowledged_turn_is_lost_at_a_power_cut() {
    let _turn = turn();
    let images = std::env::var("KAPELLE_POWER_LOSS_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let tally = cut_power(images, false, 1);
    println!("images {}, lost {}, corrupt {}", tally.images, tally.lost, tally.corrupt.len());
    assert_eq!((tally.lost, tally.corrupt), (0, vec![]));
}

/// Tests the test: a store that acknowledges before the disk does is caught.
#[test]
fn a_store_that_does_not_sync_is_caught() {
    let _turn = turn();
    let tally = cut_power(500, true, 2);
    println!("without sync: images {}, lost {}, corrupt {}", tally.images, tally.lost, tally.corrupt.len());
    assert!(tally.lost > 0);
}

/// After any failed write or sync the store stops, and another start finds every acknowledged turn.
#[test]
fn after_an_io_error_nothing_is_written_and_nothing_is_lost() {
    let _turn = turn();
    for call in [Call::Write, Call::Sync] {
        for times in [1, u64::MAX] {
            let mut met = 0;
            for at in 0.. {
                if !fails_at(Failure { call, at, times, code: call.error() }) {
                    break;
                }
                met += 1;
            }
            println!("{call:?}, {times} times: {met} points");
            assert!(met > 20, "{call:?} was met {met} times only");
        }
    }
}

/// Works until the planned failure happens. Returns whether it happened at all.
fn fails_at(failure: Failure) -> bool {
    let scratch = Scratch::new();
    shim::start(Some(failure));
    let mut work = Work::new(7);
    let opened = SqliteStore::open(scratch.path(), options(false, 12));
    if let Ok((mut store, _)) = opened {
        for _ in 0..25 {
            match work.turn(&mut store) {
                Outcome::Committed => {}
                Outcome::Failed(error) => {
                    assert!(matches!(error, StoreError::Io { .. }), "{failure:?}: {error}");
                    let calls = shim::calls();
                    let refused = work.turn(&mut store);
                    assert!(matches!(refused, Outcome::Failed(StoreError::Io { .. })), "{failure:?}: {refused:?}");
                    assert_eq!(shim::calls(), calls, "{failure:?}: something was written after the fault");
                    break;
                }
            }
        }
    }
    let met = shim::met();
    shim::start(None);
    let judged = judge(scratch.path(), &work, work.turns());
    assert!(matches!(judged, Verdict::Fine), "{failure:?}: {judged:?}");
    SqliteStore::open(scratch.path(), OpenOptions::default()).unwrap();
    met
}

/// A full disk refuses turns whole, and the store continues once there is room.
#[test]
fn a_full_disk_refuses_turns_and_takes_them_again_later() {
    let _turn = turn();
    let mut refused_anywhere = 0;
    for at in 60..400 {
        let scratch = Scratch::new();
        shim::start(Some(Failure { call: Call::Write, at, times: 7, code: rusqlite::ffi::SQLITE_FULL }));
        let mut work = Work::new(9);
        let Ok((mut store, _)) = SqliteStore::open(scratch.path(), options(false, 12)) else { continue };
        let mut refused = 0;
        while work.turns() < 20 {
            match work.turn(&mut store) {
                Outcome::Committed => {}
                Outcome::Failed(StoreError::Full(_)) => {
                    refused += 1;
                    assert!(refused < 50, "at {at}: it never recovered");
                    work.check_marker(&mut store);
                }
                Outcome::Failed(other) => panic!("at {at}: {other}"),
            }
        }
        refused_anywhere += refused;
        drop(store);
        let judged = judge(scratch.path(), &work, work.turns());
        assert!(matches!(judged, Verdict::Fine), "at {at}: {judged:?}");
    }
    println!("turns refused: {refused_anywhere}");
    assert!(refused_anywhere > 50);
}
