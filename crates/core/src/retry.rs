//! Retry rules: attempts and waits.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Category, TaskError},
    time::DurationMs,
};

/// Spread of the wait between two attempts, so that many tasks that failed together are not retried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Exactly the computed wait.
    None,
    /// Random between zero and the computed wait.
    #[default]
    Full,
    /// Half of the computed wait, plus a random part up to the other half.
    Equal,
}

/// The retry rules of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Limit of attempts, the first included.
    pub max_attempts: u32,
    /// Wait before the second attempt.
    #[serde(rename = "delay_ms")]
    pub delay: DurationMs,
    /// Factor of each further wait.
    pub multiplier: f64,
    /// Limit of a computed wait.
    #[serde(rename = "max_delay_ms")]
    pub max_delay: DurationMs,
    /// Spread of waits.
    pub jitter: Jitter,
    /// Categories that are retried: an empty list retries nothing, no list retries every retryable failure. A final bad
    /// answer (`invalid_output`) is retried only if it is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Arc<[Category]>>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            delay: DurationMs(1_000),
            multiplier: 2.0,
            max_delay: DurationMs(60_000),
            jitter: Jitter::Full,
            on: None,
        }
    }
}

impl RetryPolicy {
    /// Computes the wait before the next attempt after `failures` failed ones (this one included). Returns `None` when
    /// the task is not retried. `random` is any 64 random bits. A wait that the service asked for is a lower bound,
    /// beyond `max_delay` too.
    #[must_use]
    pub fn next_delay(&self, error: &TaskError, failures: u32, random: u64) -> Option<DurationMs> {
        let named = self.on.as_ref().map(|on| on.contains(&error.category));
        // A bad answer that the worker has already retried itself is final, unless the author lists this category by
        // name.
        let retryable = error.retryable || (named == Some(true) && error.category == Category::InvalidOutput);
        if failures >= self.max_attempts || !retryable || named == Some(false) {
            return None;
        }
        let grown = self.delay.0 as f64 * self.multiplier.powi(failures.saturating_sub(1).min(1_000) as i32);
        let capped = grown.min(self.max_delay.0 as f64).max(0.0) as u64;
        let spread = |span: u64| if span == u64::MAX { random } else { random % (span + 1) };
        let wait = match self.jitter {
            Jitter::None => capped,
            Jitter::Full => spread(capped),
            Jitter::Equal => capped / 2 + spread(capped - capped / 2),
        };
        Some(DurationMs(wait.max(error.retry_after.map_or(0, |asked| asked.0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(max_attempts: u32) -> RetryPolicy {
        RetryPolicy { max_attempts, delay: DurationMs(100), jitter: Jitter::None, ..RetryPolicy::default() }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let policy = RetryPolicy { max_delay: DurationMs(350), ..plain(9) };
        let error = TaskError::new(Category::Timeout, "slow");
        let waits: Vec<_> = (1..=4).map(|n| policy.next_delay(&error, n, 0).unwrap().0).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
    }

    #[test]
    fn it_ends_at_the_last_attempt_on_permanent_errors_and_on_kinds_not_listed() {
        let error = TaskError::new(Category::Timeout, "slow");
        assert_eq!(plain(3).next_delay(&error, 3, 0), None);
        assert_eq!(plain(3).next_delay(&error.clone().permanent(), 1, 0), None);
        let only = RetryPolicy { on: Some(Arc::from([Category::RateLimited])), ..plain(3) };
        assert_eq!(only.next_delay(&error, 1, 0), None);
        let nothing = RetryPolicy { on: Some(Arc::from([])), ..plain(3) };
        assert_eq!(nothing.next_delay(&error, 1, 0), None);
    }

    #[test]
    fn a_final_bad_answer_is_tried_again_only_where_its_kind_is_listed() {
        let error = TaskError::new(Category::InvalidOutput, "no JSON").permanent();
        let listing = |on: &[Category]| RetryPolicy { on: Some(Arc::from(on)), ..plain(3) };
        assert_eq!(plain(3).next_delay(&error, 1, 0), None);
        assert_eq!(listing(&[]).next_delay(&error, 1, 0), None);
        assert_eq!(listing(&[Category::Timeout]).next_delay(&error, 1, 0), None);
        let named = listing(&[Category::Timeout, Category::InvalidOutput]);
        assert!(named.next_delay(&error, 2, 0).is_some() && named.next_delay(&error, 3, 0).is_none());
        assert_eq!(named.next_delay(&TaskError::new(Category::Timeout, "slow").permanent(), 1, 0), None);
    }

    #[test]
    fn a_wait_that_was_asked_for_is_honoured_beyond_the_cap() {
        let error = TaskError::new(Category::RateLimited, "slow down").after(DurationMs(120_000));
        assert_eq!(plain(3).next_delay(&error, 1, 0), Some(DurationMs(120_000)));
    }

    proptest! {
        #[test]
        fn no_computed_wait_passes_the_cap(failures in 1u32..50, random in any::<u64>(), multiplier in 1.0f64..10.0) {
            for jitter in [Jitter::None, Jitter::Full, Jitter::Equal] {
                let policy = RetryPolicy { jitter, multiplier, ..plain(60) };
                let wait = policy.next_delay(&TaskError::new(Category::Timeout, ""), failures, random).unwrap();
                prop_assert!(wait <= policy.max_delay);
            }
        }
    }
}
