//! Why a task is held.

use serde::{Deserialize, Serialize};

/// What a held task lacks. Shown to people as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum HoldReason {
    /// As many tasks of its key run as may.
    KeyLimit = 1,
    /// The provider's rate leaves no room at the moment.
    RateLimit = 2,
    /// Its run is paused.
    RunPaused = 3,
    /// Its worker fails, and retries are no more than a share of the attempts meanwhile.
    RetryBudget = 4,
}

impl HoldReason {
    /// Every reason.
    pub const ALL: [HoldReason; 4] =
        [HoldReason::KeyLimit, HoldReason::RateLimit, HoldReason::RunPaused, HoldReason::RetryBudget];

    /// For people: what the task waits for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HoldReason::KeyLimit => "as many tasks of its key are running as may",
            HoldReason::RateLimit => "the provider's rate limit leaves no room at the moment",
            HoldReason::RunPaused => "its run is paused",
            HoldReason::RetryBudget => {
                "its worker is failing: retries wait, so that they are at most a fifth of its attempts"
            }
        }
    }
}
