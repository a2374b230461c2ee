//! Many seeds, on several threads.

use std::{
    fmt::{self, Debug},
    ops::Range,
    panic::{UnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A study that is run seed by seed.
pub trait Study {
    /// Result of a seed.
    type Tally: Tally;
    /// Package whose program runs one seed again.
    const PACKAGE: &'static str;
    /// Seeds that failed once, one a line. They are run first, for ever.
    const KEPT: &'static str;
    /// File that holds them.
    const KEPT_IN: &'static str;
    /// Default number of seeds.
    const SEEDS: u64;

    /// Runs a seed. `verbose` prints its events.
    ///
    /// # Errors
    /// The broken law.
    fn live(seed: u64, verbose: bool) -> Result<Self::Tally, String>;

    /// Explains a failure in full.
    #[must_use]
    fn explain(failure: &Failure) -> String {
        failure.to_string()
    }
}

/// Results of seeds, to be added up.
pub trait Tally: Debug + Default + PartialEq + Send + UnwindSafe {
    /// Adds another result.
    fn add(&mut self, other: Self);
}

/// A seed that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Failure {
    pub seed: u64,
    /// Description of the failure.
    pub what: String,
    /// Package of the study.
    pub package: &'static str,
}

impl Failure {
    /// Returns the failure in one line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.what.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, what, package } = self;
        write!(f, "seed {seed}: {what}\n  again: cargo run --release -p {package} -- --seed {seed}")
    }
}

/// Returns the seeds that failed once.
#[must_use]
pub fn kept<S: Study>() -> Vec<u64> {
    S::KEPT.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect()
}

/// Runs one seed; a panic is a failure too.
///
/// # Errors
/// The failure.
pub fn one<S: Study>(seed: u64, verbose: bool) -> Result<S::Tally, Failure> {
    let lived = catch_unwind(|| S::live(seed, verbose)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("it panics: {}", text.unwrap_or_default()))
    });
    lived.map_err(|what| Failure { seed, what, package: S::PACKAGE })
}

/// Runs seeds until one fails, the smallest that is found first. Returns their results together.
///
/// # Errors
/// The first failure.
pub fn hunt<S: Study>(seeds: Range<u64>, jobs: usize) -> Result<S::Tally, Failure> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<Failure>> = Mutex::default();
    let total: Mutex<S::Tally> = Mutex::default();
    let work = || {
        let mut sum = S::Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match one::<S>(seed, false) {
                Ok(tally) => sum.add(tally),
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
