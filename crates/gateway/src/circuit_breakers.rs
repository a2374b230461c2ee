//! Circuit breakers of links, and the waits that providers ask for.
//!
//! | state | cause | calls allowed |
//! |---|---|---|
//! | closed | fewer than five failures in a row | all |
//! | cooling | the provider named a wait | not until the wait is over |
//! | open | five failures in a row | not for 5 s, then twice as long each time, up to 60 s |
//! | probing | the time of `open` is over | one; its result closes the circuit or opens it again |

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use kapelle_core::DurationMs;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// Duration of the first open state, in milliseconds; it doubles up to [`LONGEST_MS`].
const FIRST_MS: u64 = 5_000;
const LONGEST_MS: u64 = 60_000;
/// Longest wait of other calls for the result of a probe, in milliseconds.
const PROBE_MS: u64 = 10_000;
/// Number of links that are remembered; callers can name any model.
const KEPT: usize = 1_024;

/// Circuit breaker of one link.
#[derive(Default)]
pub(crate) struct CircuitBreaker(Mutex<State>, Counts);

/// Errors of a link since the start.
#[derive(Default)]
struct Counts {
    failed: AtomicU64,
    refused: AtomicU64,
}

/// The state of a link, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkHealth {
    /// `provider/model`.
    pub link: String,
    /// Temporary failures since the start: the circuit counts them.
    pub failed: u64,
    /// Requests that the provider refused since the start.
    pub refused: u64,
    /// Whether calls are held back now, after failures or because the provider named a wait.
    pub held_back: bool,
}

#[derive(Default)]
struct State {
    failures: u32,
    opened: u32,
    closed_until_ms: u64,
}

impl CircuitBreaker {
    /// Asks whether the link may be called now.
    ///
    /// # Errors
    /// The wait until it may be called.
    pub(crate) fn ask(&self, now_ms: u64) -> Result<(), DurationMs> {
        let mut state = self.lock();
        if now_ms < state.closed_until_ms {
            return Err(DurationMs(state.closed_until_ms - now_ms));
        }
        if state.opened > 0 {
            // This call is the probe; others wait for its result.
            state.closed_until_ms = now_ms + PROBE_MS;
        }
        Ok(())
    }

    /// Records an answer, also one that refuses the request.
    pub(crate) fn well(&self) {
        *self.lock() = State::default();
    }

    /// Records a refusal of the request: the provider works.
    pub(crate) fn refused(&self) {
        self.1.refused.fetch_add(1, Ordering::Relaxed);
        self.well();
    }

    /// Records a temporary failure.
    pub(crate) fn failed(&self, now_ms: u64, wait: Option<DurationMs>) {
        self.1.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if let Some(wait) = wait {
            state.closed_until_ms = state.closed_until_ms.max(now_ms.saturating_add(wait.0));
            return;
        }
        state.failures += 1;
        if state.failures >= FAILURES || state.opened > 0 {
            let lasts = FIRST_MS.checked_shl(state.opened).unwrap_or(LONGEST_MS).min(LONGEST_MS);
            state.opened = (state.opened + 1).min(8);
            state.closed_until_ms = now_ms + lasts;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Circuit breakers of all links, by `provider/model`. They survive a change of the configuration.
#[derive(Default)]
pub(crate) struct CircuitBreakers(Mutex<HashMap<String, Arc<CircuitBreaker>>>);

impl CircuitBreakers {
    pub(crate) fn of(&self, link: &str) -> Arc<CircuitBreaker> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = all.get(link) {
            return Arc::clone(breaker);
        }
        if all.len() >= KEPT {
            all.clear();
        }
        let breaker = Arc::new(CircuitBreaker::default());
        all.insert(link.to_owned(), Arc::clone(&breaker));
        breaker
    }

    /// Returns the state of every link that was called, by name.
    pub(crate) fn health(&self, now_ms: u64) -> Vec<LinkHealth> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links: Vec<LinkHealth> = all
            .iter()
            .map(|(link, breaker)| LinkHealth {
                link: link.clone(),
                failed: breaker.1.failed.load(Ordering::Relaxed),
                refused: breaker.1.refused.load(Ordering::Relaxed),
                held_back: now_ms < breaker.lock().closed_until_ms,
            })
            .collect();
        links.sort_by(|a, b| a.link.cmp(&b.link));
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_the_circuit_and_one_probe_closes_it() {
        let breaker = CircuitBreaker::default();
        for _ in 0..4 {
            breaker.failed(0, None);
        }
        assert_eq!(breaker.ask(0), Ok(()));
        breaker.failed(0, None);
        assert_eq!(breaker.ask(1_000), Err(DurationMs(4_000)));
        assert_eq!(breaker.ask(5_000), Ok(()), "the probe");
        assert!(breaker.ask(5_001).is_err(), "one probe at a time");
        breaker.failed(5_002, None);
        assert_eq!(breaker.ask(5_002), Err(DurationMs(10_000)), "twice as long");
        assert_eq!(breaker.ask(15_002), Ok(()));
        breaker.well();
        assert_eq!(breaker.ask(15_003), Ok(()));
    }

    #[test]
    fn errors_are_counted_for_good() {
        let all = CircuitBreakers::default();
        let breaker = all.of("p/m");
        (0..5).for_each(|_| breaker.failed(0, None));
        let health = all.health(1_000);
        assert_eq!((health[0].link.as_str(), health[0].failed, health[0].held_back), ("p/m", 5, true));
        breaker.refused();
        let health = all.health(1_000);
        assert_eq!((health[0].failed, health[0].refused, health[0].held_back), (5, 1, false));
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept() {
        let breaker = CircuitBreaker::default();
        breaker.failed(100, Some(DurationMs(7_000)));
        assert_eq!(breaker.ask(100), Err(DurationMs(7_000)));
        assert_eq!(breaker.ask(7_100), Ok(()));
    }

    #[test]
    fn a_probe_that_never_ends_does_not_close_the_link_for_ever() {
        let breaker = CircuitBreaker::default();
        for _ in 0..5 {
            breaker.failed(0, None);
        }
        assert_eq!(breaker.ask(5_000), Ok(()));
        assert_eq!(breaker.ask(15_000), Ok(()));
    }
}
