//! Many seeds, on several threads, and what is left of one that failed.

use std::{
    ops::Range,
    panic::catch_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value as Json;

use crate::{
    case::{Story, drawn, live},
    shrink::shrink,
    yaml,
};

/// Where seeds that failed once are kept. They are run first, for ever.
pub const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");

/// A seed for which the engine and the reference differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What differs.
    pub difference: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure { seed, difference } = self;
        write!(f, "seed {seed}: {difference}\n  again: cargo run --release -p kapelle-graphs -- --seed {seed}")
    }
}

impl Failure {
    /// The same with the smallest definition that still fails.
    #[must_use]
    pub fn smaller(&self) -> String {
        let tree = shrink(&drawn(self.seed), &|tree| outcome(self.seed, tree).is_err());
        let difference = outcome(self.seed, &tree).err().unwrap_or_default();
        format!("{self}\n\nas small as it gets:\n{}\n{difference}", yaml::write(&tree))
    }
}

/// The seeds that failed once.
#[must_use]
pub fn kept() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    lines.filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect()
}

/// Runs a definition with the events of a seed; a panic is a difference too.
fn outcome(seed: u64, tree: &Json) -> Result<Story, String> {
    catch_unwind(|| live(seed, tree)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("it panics: {}", text.unwrap_or_default()))
    })
}

/// One seed.
///
/// # Errors
/// What differs.
pub fn one(seed: u64) -> Result<Story, Failure> {
    outcome(seed, &drawn(seed)).map_err(|difference| Failure { seed, difference })
}

/// Seeds until one fails, the smallest that is found first; gives what they came to together.
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
            match one(seed) {
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
