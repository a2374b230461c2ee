//! How many retries a failing worker gets: a share of its attempts, so that an outage is not met with a storm.
//!
//! A token bucket for each worker. A retry takes a token; a first attempt brings a fifth of one, a success a whole one,
//! and time one a second, so that somebody looks whether it works again even when nothing new comes in. While a worker
//! works, the bucket is full and nobody waits. The share of a fifth is that of the retry budgets of RPC systems.

use crate::{failure::Category, time::Timestamp};

/// Thousandths of a token that a bucket holds at most: a few failures are retried at once.
const FULL: u64 = 10_000;
/// What a retry takes.
const RETRY: u64 = 1_000;
/// What a first attempt brings.
const FIRST: u64 = 200;
/// What a success brings: the retry after it is paid for, so a worker that works again is soon at its old rate.
const SUCCESS: u64 = 1_000;
/// What a millisecond brings.
const PER_MS: u64 = 1;

/// The bucket of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    tokens: u64,
    at: Timestamp,
}

impl RetryBudget {
    /// A full bucket.
    #[must_use]
    pub fn full(now: Timestamp) -> RetryBudget {
        RetryBudget { tokens: FULL, at: now }
    }

    /// Whether failures of that kind are those of an outage. Others say something about the task, not the worker.
    #[must_use]
    pub fn concerns(category: Category) -> bool {
        matches!(category, Category::RateLimited | Category::Timeout | Category::Unavailable | Category::Provider)
    }

    fn pass(&mut self, now: Timestamp) {
        let passed = now.since(self.at).0.saturating_mul(PER_MS);
        self.tokens = self.tokens.saturating_add(passed).min(FULL);
        // A clock that was set back starts the count anew.
        self.at = now;
    }

    /// Takes a token for a retry; whether there was one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.pass(now);
        let enough = self.tokens >= RETRY;
        if enough {
            self.tokens -= RETRY;
        }
        enough
    }

    /// A first attempt has begun.
    pub fn first_attempt(&mut self, now: Timestamp) {
        self.pass(now);
        self.tokens = (self.tokens + FIRST).min(FULL);
    }

    /// An attempt has succeeded.
    pub fn success(&mut self, now: Timestamp) {
        self.pass(now);
        self.tokens = (self.tokens + SUCCESS).min(FULL);
    }

    /// When the next token is there.
    #[must_use]
    pub fn next_at(&self) -> Timestamp {
        self.at + crate::time::DurationMs(RETRY.saturating_sub(self.tokens).div_ceil(PER_MS))
    }

    /// Whether it is as it began, so that it need not be remembered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.tokens == FULL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In an outage of any length, retries are a fifth of the first attempts, ten, and one a second.
        #[test]
        fn retries_are_a_share(per_second in 1u64..500, seconds in 1u64..60) {
            let mut share = RetryBudget::full(Timestamp(0));
            let (mut first, mut retries) = (0u64, 0u64);
            for second in 0..seconds {
                let now = Timestamp(second as i64 * 1_000);
                for _ in 0..per_second {
                    first += 1;
                    share.first_attempt(now);
                    while share.take(now) { retries += 1; }
                }
            }
            prop_assert!(retries <= first / 5 + 10 + seconds);
            prop_assert!(retries + 1 >= first / 5);
        }
    }

    #[test]
    fn a_success_pays_for_the_next_retry_and_time_for_a_look() {
        let mut share = RetryBudget::full(Timestamp(0));
        while share.take(Timestamp(0)) {}
        assert_eq!(share.next_at(), Timestamp(1_000));
        share.success(Timestamp(0));
        assert!(share.take(Timestamp(0)) && !share.take(Timestamp(999)) && share.take(Timestamp(1_000)));
        assert!(!share.is_full());
        share.first_attempt(Timestamp(60_000));
        assert!(share.is_full());
    }
}
