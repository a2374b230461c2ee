//! Retry budget of a failing worker: a share of its attempts, so that an outage does not cause a storm of retries.
//!
//! A token bucket for each worker. A retry takes a token; a first attempt adds a fifth of one, a success a whole one,
//! and time one a second, so that the worker is tried again even without new tasks. While a worker succeeds, the bucket
//! is full and no retry waits. The share of a fifth is that of the retry budgets of RPC systems.

use crate::{failure::Category, time::Timestamp};

/// Capacity of a bucket, in thousandths of a token: a few failures are retried at once.
const FULL: u64 = 10_000;
/// Cost of a retry, in thousandths of a token.
const RETRY: u64 = 1_000;
/// Gain of a first attempt, in thousandths of a token.
const FIRST: u64 = 200;
/// Gain of a success, in thousandths of a token. It pays for the retry after it, so a worker that recovers soon reaches
/// its old rate.
const SUCCESS: u64 = 1_000;
/// Gain of a millisecond, in thousandths of a token.
const PER_MS: u64 = 1;

/// Bucket of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    tokens: u64,
    at: Timestamp,
}

impl RetryBudget {
    /// Makes a full bucket.
    #[must_use]
    pub fn full(now: Timestamp) -> RetryBudget {
        RetryBudget { tokens: FULL, at: now }
    }

    /// Tells whether failures of that category are those of an outage. Others concern the task, not the worker.
    #[must_use]
    pub fn concerns(category: Category) -> bool {
        matches!(category, Category::RateLimited | Category::Timeout | Category::Unavailable | Category::Provider)
    }

    fn pass(&mut self, now: Timestamp) {
        let passed = now.since(self.at).0.saturating_mul(PER_MS);
        self.tokens = self.tokens.saturating_add(passed).min(FULL);
        // A clock that was set back restarts the count.
        self.at = now;
    }

    /// Takes a token for a retry. Returns false when the bucket has no token.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.pass(now);
        let enough = self.tokens >= RETRY;
        if enough {
            self.tokens -= RETRY;
        }
        enough
    }

    /// Records the start of a first attempt.
    pub fn first_attempt(&mut self, now: Timestamp) {
        self.pass(now);
        self.tokens = (self.tokens + FIRST).min(FULL);
    }

    /// Records the success of an attempt.
    pub fn success(&mut self, now: Timestamp) {
        self.pass(now);
        self.tokens = (self.tokens + SUCCESS).min(FULL);
    }

    /// Returns the time of the next token.
    #[must_use]
    pub fn next_at(&self) -> Timestamp {
        self.at + crate::time::DurationMs(RETRY.saturating_sub(self.tokens).div_ceil(PER_MS))
    }

    /// Tells whether the bucket is full, so that it need not be kept.
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
        /// In an outage of any length, retries are at most a fifth of the first attempts, plus ten, plus one a second.
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
