//! Many seeds, on several threads.

use std::{
    ops::Range,
    panic::catch_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::world::{Story, simulate};

/// Where seeds that failed once are kept. They are run first, for ever.
pub const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");

/// A seed that broke a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The law.
    pub law: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure { seed, law } = self;
        write!(f, "seed {seed} failed: invariant {law}\n  again: cargo run --release -p kapelle-sim -- --seed {seed}")
    }
}

/// The seeds that failed once.
#[must_use]
pub fn kept() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    lines.filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect()
}

/// Lives through a seed; a panic is a broken law too.
///
/// # Errors
/// The law that was broken.
pub fn live(seed: u64, verbose: bool) -> Result<Story, Failure> {
    let lived = catch_unwind(|| simulate(seed, verbose)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("nothing panics: {}", text.unwrap_or_default()))
    });
    lived.map_err(|law| Failure { seed, law })
}

/// Lives through seeds until one fails, the smallest that is found first; gives what they came to together.
///
/// # Errors
/// The first failure.
pub fn hunt(seeds: Range<u64>, jobs: usize) -> Result<Story, Failure> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<Failure>> = Mutex::default();
    let total: Mutex<Story> = Mutex::default();
    let work = || {
        let mut sum = Story::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match live(seed, false) {
                Ok(story) => sum.add(story),
                Err(failure) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.as_ref().is_none_or(|other| failure.seed < other.seed) {
                        *found = Some(failure);
                    }
                    break;
                }
            }
        }
        total.lock().unwrap_or_else(PoisonError::into_inner).add(sum);
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    match found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl Story {
    fn add(&mut self, other: Story) {
        self.turns += other.turns;
        self.commits += other.commits;
        self.tasks += other.tasks;
        self.runs += other.runs;
        self.digest ^= other.digest;
    }
}
