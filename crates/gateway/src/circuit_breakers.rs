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

use kapelle_core::{Category, DurationMs, TenantId};

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// Duration of the first open state, in milliseconds; it doubles up to [`LONGEST_MS`].
const FIRST_MS: u64 = 5_000;
const LONGEST_MS: u64 = 60_000;
/// Longest wait of other calls for the result of a probe, in milliseconds.
const PROBE_MS: u64 = 10_000;
/// Number of links that are remembered; callers can name any model.
const KEPT: usize = 1_024;

/// Milliseconds of one bucket of recent calls.
const MINUTE_MS: u64 = 60_000;
/// Buckets of recent calls, the current one included.
pub const RECENT_MINUTES: u64 = 10;
/// Characters of an error that are kept.
const ERROR_MAX: usize = 300;

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
    /// State of the circuit.
    pub circuit: Circuit,
    /// Time until the next call is allowed; `None` while calls are allowed.
    pub opens_in: Option<DurationMs>,
    /// Temporary failures in a row.
    pub in_row: u32,
    /// Calls of the last [`RECENT_MINUTES`] minutes.
    pub recent: Recent,
    /// Last failure or refusal.
    pub last: Option<LastError>,
}

/// State of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// All calls are allowed.
    Closed,
    /// The provider named a wait.
    Cooling,
    /// Failures in a row: calls are held back for a time.
    Open,
    /// One call tries whether the provider works again.
    Probing,
}

/// Counts of calls in the last minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// Calls that the provider began to answer.
    pub answered: u64,
    /// Temporary failures.
    pub failed: u64,
    /// Refused requests.
    pub refused: u64,
}

/// A failure or refusal of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Tenant whose call it was.
    pub tenant: TenantId,
    /// Kind of error.
    pub category: Category,
    /// The error's text, which may repeat parts of the request.
    pub message: String,
    /// Time since then.
    pub ago: DurationMs,
}

#[derive(Default)]
struct State {
    failures: u32,
    opened: u32,
    closed_until_ms: u64,
    probing: bool,
    minutes: [(u64, Recent); RECENT_MINUTES as usize],
    last: Option<(TenantId, Category, String, u64)>,
}

impl State {
    /// Returns the counts of the current minute.
    fn minute(&mut self, now_ms: u64) -> &mut Recent {
        let minute = now_ms / MINUTE_MS;
        let slot = &mut self.minutes[(minute % RECENT_MINUTES) as usize];
        if slot.0 != minute {
            *slot = (minute, Recent::default());
        }
        &mut slot.1
    }

    fn recent(&self, now_ms: u64) -> Recent {
        let minute = now_ms / MINUTE_MS;
        let is_recent = |(of, _): &&(u64, Recent)| *of + RECENT_MINUTES > minute;
        self.minutes.iter().filter(is_recent).fold(Recent::default(), |sum, (_, one)| Recent {
            answered: sum.answered + one.answered,
            failed: sum.failed + one.failed,
            refused: sum.refused + one.refused,
        })
    }

    fn circuit(&self, now_ms: u64) -> Circuit {
        match (now_ms < self.closed_until_ms, self.opened > 0) {
            (true, true) if self.probing => Circuit::Probing,
            (_, true) => Circuit::Open,
            (true, false) => Circuit::Cooling,
            (false, false) => Circuit::Closed,
        }
    }

    /// Closes the circuit.
    fn close(&mut self) {
        (self.failures, self.opened, self.closed_until_ms, self.probing) = (0, 0, 0, false);
    }
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
            state.probing = true;
        }
        Ok(())
    }

    /// Records an answer.
    pub(crate) fn well(&self, now_ms: u64) {
        let mut state = self.lock();
        state.minute(now_ms).answered += 1;
        state.close();
    }

    /// Records a refusal of the request: the provider works.
    pub(crate) fn refused(&self, now_ms: u64) {
        self.1.refused.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        state.minute(now_ms).refused += 1;
        state.close();
    }

    /// Keeps the text of a failure or refusal.
    pub(crate) fn told(&self, now_ms: u64, (tenant, category): (TenantId, Category), message: &str) {
        let message = message.chars().take(ERROR_MAX).collect();
        self.lock().last = Some((tenant, category, message, now_ms));
    }

    /// Records a temporary failure.
    pub(crate) fn failed(&self, now_ms: u64, wait: Option<DurationMs>) {
        self.1.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        state.minute(now_ms).failed += 1;
        state.probing = false;
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

    fn health(&self, link: &str, now_ms: u64) -> LinkHealth {
        let state = self.lock();
        let wait = state.closed_until_ms.saturating_sub(now_ms);
        LinkHealth {
            link: link.to_owned(),
            failed: self.1.failed.load(Ordering::Relaxed),
            refused: self.1.refused.load(Ordering::Relaxed),
            held_back: wait > 0,
            circuit: state.circuit(now_ms),
            opens_in: (wait > 0).then_some(DurationMs(wait)),
            in_row: state.failures,
            recent: state.recent(now_ms),
            last: state.last.as_ref().map(|(tenant, category, message, at_ms)| LastError {
                tenant: *tenant,
                category: *category,
                message: message.clone(),
                ago: DurationMs(now_ms.saturating_sub(*at_ms)),
            }),
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
        let mut links: Vec<LinkHealth> = all.iter().map(|(link, breaker)| breaker.health(link, now_ms)).collect();
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
        breaker.well(15_002);
        assert_eq!(breaker.ask(15_003), Ok(()));
    }

    #[test]
    fn errors_are_counted_for_good() {
        let all = CircuitBreakers::default();
        let breaker = all.of("p/m");
        (0..5).for_each(|_| breaker.failed(0, None));
        let health = all.health(1_000);
        assert_eq!((health[0].link.as_str(), health[0].failed, health[0].held_back), ("p/m", 5, true));
        breaker.refused(1_000);
        let health = all.health(1_000);
        assert_eq!((health[0].failed, health[0].refused, health[0].held_back), (5, 1, false));
    }

    #[test]
    fn health_names_the_state_the_last_minutes_and_the_last_error() {
        let all = CircuitBreakers::default();
        let breaker = all.of("p/m");
        let health = |now_ms| all.health(now_ms).remove(0);
        breaker.well(0);
        (0..5).for_each(|_| breaker.failed(120_000, None));
        breaker.told(120_000, (TenantId(2), Category::Unavailable), &"x".repeat(1_000));
        let open = health(121_000);
        assert_eq!((open.circuit, open.opens_in, open.in_row), (Circuit::Open, Some(DurationMs(4_000)), 5));
        assert_eq!(open.recent, Recent { answered: 1, failed: 5, refused: 0 });
        let last = open.last.unwrap();
        assert_eq!((last.tenant, last.ago, last.message.len()), (TenantId(2), DurationMs(1_000), ERROR_MAX));
        assert_eq!(health(125_000).circuit, Circuit::Open, "until a call tries it");
        assert_eq!(breaker.ask(125_000), Ok(()));
        assert_eq!(health(125_001).circuit, Circuit::Probing);
        breaker.refused(125_002);
        assert_eq!((health(125_002).circuit, health(125_002).opens_in), (Circuit::Closed, None));
        breaker.failed(130_000, Some(DurationMs(9_000)));
        assert_eq!(health(130_000).circuit, Circuit::Cooling);
        assert_eq!(health(600_000).recent, Recent { answered: 0, failed: 6, refused: 1 }, "the first minute is over");
        assert_eq!(health(1_300_000).recent, Recent::default());
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
