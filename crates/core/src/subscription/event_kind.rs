//! The kinds of events that leave the product. Their names are stable: receivers match on them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// First part of every name.
pub const PREFIX: &str = "kapelle.";

macro_rules! kinds {
    ($($variant:ident = $name:literal, $about:literal;)*) => {
        /// Kind of an event, the `type` of its CloudEvent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $(#[doc = $about] $variant,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$variant,)*];

            /// Returns the name of the kind.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(EventKind::$variant => concat!("kapelle.", $name),)*
                }
            }

            /// Returns the occasion of the event, for people.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(EventKind::$variant => $about,)*
                }
            }
        }
    };
}

kinds! {
    TaskSucceeded = "task.succeeded", "A task or step succeeded.";
    TaskFailed = "task.failed", "A task or step failed for good.";
    TaskCancelled = "task.cancelled", "A task or step was cancelled.";
    TaskDead = "task.dead", "A task that crashed its workers became a dead letter; `task.failed` is sent, too.";
    TaskParked = "task.parked", "A task waits until a budget is raised or its window ends.";
    RunSucceeded = "run.succeeded", "A run succeeded.";
    RunFailed = "run.failed", "A run failed.";
    RunCancelled = "run.cancelled", "A run was cancelled.";
    RunParked = "run.parked", "A step of a run waits for money; `task.parked` is sent, too.";
    ApprovalRequested = "approval.requested", "A step of a run waits for a person.";
    BudgetThreshold = "budget.threshold", "80 % of a budget is spent; once for each limit and window.";
    ScheduleFired = "schedule.fired", "A schedule started a run or a task.";
    ScheduleMissed = "schedule.missed", "A schedule started nothing at one of its times; `state` has the reason.";
    HostLost = "host.lost", "A worker host fell silent; its tasks are given to others.";
    ScriptCrashed = "script.crashed", "A process of a script failed and is started again.";
    ScriptGivenUp = "script.given_up", "A script failed too often and is not started again.";
    Test = "test", "An event that a person asked for, to try a subscription.";
}

impl EventKind {
    /// Returns the kind of a name; `None` for another name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Returns the position of the kind in a set of kinds.
    pub(super) fn bit(self) -> u64 {
        1 << self as u32
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_fits_into_a_set() {
        assert!(EventKind::ALL.len() <= 64);
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.as_str()), Some(*kind));
            assert!(kind.as_str().starts_with(PREFIX) && kind.about().ends_with('.'));
        }
        assert_eq!(EventKind::from_name("kapelle.task"), None);
    }
}
