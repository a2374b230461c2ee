//! What a step waits for.

use serde::{Deserialize, Serialize};

use crate::{Name, approval::ApprovalRule, definition::OnTimeout, id::RunId, run::Opening, time::Timestamp};

/// What a waiting step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// The steps, items or turns inside of it.
    Scope(Opening),
    /// The end of that run, which it started.
    Run(RunId),
    /// A time.
    Timer {
        /// That time.
        until: Timestamp,
    },
    /// A signal to its run.
    Signal {
        /// The name of the signal.
        name: Name,
        /// How long at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What happens then.
        on_timeout: OnTimeout,
    },
    /// A person who says yes or no to its input.
    Approval {
        /// How long at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What happens then.
        on_timeout: OnTimeout,
        /// Who may answer.
        #[serde(default, skip_serializing_if = "ApprovalRule::is_plain")]
        rule: ApprovalRule,
    },
}

impl WaitFor {
    /// When it has waited long enough.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            WaitFor::Timer { until } => Some(*until),
            WaitFor::Signal { until, .. } | WaitFor::Approval { until, .. } => *until,
            WaitFor::Scope(_) | WaitFor::Run(_) => None,
        }
    }
}
