//! Reasons why a task is held.

use serde::{Deserialize, Serialize};

/// Reason of a hold. Shown to people unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum HoldReason {
    /// Its key has reached its limit of running tasks.
    KeyLimit = 1,
    /// The provider's rate limit is reached.
    RateLimit = 2,
    /// Its run is paused.
    RunPaused = 3,
    /// Its worker fails, and its retry budget is used up.
    RetryBudget = 4,
}

impl HoldReason {
    /// Every reason.
    pub const ALL: [HoldReason; 4] =
        [HoldReason::KeyLimit, HoldReason::RateLimit, HoldReason::RunPaused, HoldReason::RetryBudget];

    /// Returns the reason for people: what the task waits for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HoldReason::KeyLimit => "the limit of its concurrency key is reached",
            HoldReason::RateLimit => "the provider's rate limit is reached at the moment",
            HoldReason::RunPaused => "its run is paused",
            HoldReason::RetryBudget => {
                "its worker is failing: retries wait, so that they are at most a fifth of its attempts"
            }
        }
    }
}
