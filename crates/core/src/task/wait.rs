//! Events that a step can wait for.

use serde::{Deserialize, Serialize};

use crate::{Name, approval::ApprovalRule, definition::OnTimeout, id::RunId, run::Opening, time::Timestamp};

/// Event that a waiting step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum WaitFor {
    /// The steps, items or turns inside of it.
    Scope(Opening),
    /// The end of that run, which it started.
    Run(RunId),
    /// A time.
    Timer { until: Timestamp },
    /// A signal to its run.
    Signal {
        name: Name,
        /// Time limit of the wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Effect of the time limit.
        on_timeout: OnTimeout,
    },
    /// A person who approves or rejects its input.
    Approval {
        /// Time limit of the wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Effect of the time limit.
        on_timeout: OnTimeout,
        /// Rule about who may answer.
        #[serde(default, skip_serializing_if = "ApprovalRule::is_plain")]
        rule: ApprovalRule,
    },
}

impl WaitFor {
    /// Returns the time limit of the wait.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            WaitFor::Timer { until } => Some(*until),
            WaitFor::Signal { until, .. } | WaitFor::Approval { until, .. } => *until,
            WaitFor::Scope(_) | WaitFor::Run(_) => None,
        }
    }
}
