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

/// Something that is studied seed by seed.
pub trait Study {
    /// What a seed came to.
    type Tally: Tally;
    /// The package whose program looks at one seed again.
    const PACKAGE: &'static str;
    /// The seeds that failed once, one a line. They are run first, for ever.
    const KEPT: &'static str;
    /// The file in which they stand.
    const KEPT_IN: &'static str;
    /// Seeds that are run when nobody says which.
    const SEEDS: u64;

    /// Lives through a seed; the error says what is wrong. `verbose` tells on the way what happens.
    ///
    /// # Errors
    /// What is wrong.
    fn live(seed: u64, verbose: bool) -> Result<Self::Tally, String>;

    /// A failure in full.
    #[must_use]
    fn explain(failure: &Failure) -> String {
        failure.to_string()
    }
}

/// What seeds came to, to be added up.
pub trait Tally: Debug + Default + PartialEq + Send + UnwindSafe {
    /// Adds another's.
    fn add(&mut self, other: Self);
}

/// A seed for which something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// The package that says so.
    pub package: &'static str,
}

impl Failure {
    /// What is wrong, in a line.
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

/// The seeds that failed once.
#[must_use]
pub fn kept<S: Study>() -> Vec<u64> {
    S::KEPT.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect()
}

/// One seed; a panic is a failure too.
///
/// # Errors
/// What is wrong.
pub fn one<S: Study>(seed: u64, verbose: bool) -> Result<S::Tally, Failure> {
    let lived = catch_unwind(|| S::live(seed, verbose)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("it panics: {}", text.unwrap_or_default()))
    });
    lived.map_err(|what| Failure { seed, what, package: S::PACKAGE })
}

/// Seeds until one fails, the smallest that is found first; gives what they came to together.
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
