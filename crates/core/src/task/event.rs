//! Events of a task, and their effect on its state.

use std::sync::Arc;

use crate::{
    Payload, TaskError,
    id::TaskId,
    money::Money,
    task::model::{Lease, Task, TaskState},
    task::rank::Rank,
    task::reason::HoldReason,
    time::Timestamp,
    worker::Provenance,
};

/// An event of a task.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum TaskEvent {
    /// A worker claimed it.
    Claimed(Lease),
    /// The answer was accepted.
    Succeeded {
        output: Payload,
        /// Origin of the answer.
        provenance: Arc<Provenance>,
        at: Timestamp,
    },
    /// The attempt failed and another follows at `at`.
    WillRetry {
        at: Timestamp,
        /// Error of the attempt.
        error: Arc<TaskError>,
        /// Whether the attempt was lost.
        crashed: bool,
        /// Time of the failure.
        now: Timestamp,
    },
    /// The task was given up.
    Failed {
        error: Arc<TaskError>,
        /// Whether too many attempts were lost.
        dead: bool,
        /// Whether the last attempt was lost.
        crashed: bool,
        at: Timestamp,
    },
    /// It waits only for a slot from now on.
    Ready {
        /// Position in the order of ready tasks.
        rank: Rank,
    },
    /// A failed task was retried by hand, with its counts at zero.
    Revived {
        /// Position in the order of ready tasks.
        rank: Rank,
    },
    /// A dead letter was discarded by hand.
    Discarded {
        /// User or reason of the request.
        reason: Arc<str>,
        at: Timestamp,
    },
    /// It was held.
    Held {
        reason: HoldReason,
        /// Position in the order of ready tasks.
        rank: Rank,
    },
    /// It was parked for lack of money.
    Parked {
        /// Position in the order of ready tasks.
        rank: Rank,
        /// Highest cost of the next call.
        needs: Money,
    },
    /// Cancelled by a user.
    Cancelled {
        /// User or reason of the request.
        reason: Arc<str>,
        at: Timestamp,
    },
}

/// An unsuccessful attempt. Successful attempts are recorded in their task alone.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Attempt {
    pub task: TaskId,
    /// Number of the attempt.
    pub epoch: u32,
    /// Start of the attempt.
    pub started_at: Timestamp,
    /// End of the attempt.
    pub ended_at: Timestamp,
    /// Error, with the cost of the attempt.
    pub error: Arc<TaskError>,
}

impl Task {
    /// Returns the attempt that `event` ends without success, to be kept. Called before [`Task::evolve`].
    #[must_use]
    pub fn failed_attempt(&self, event: &TaskEvent) -> Option<Attempt> {
        let (TaskEvent::WillRetry { error, now: at, .. } | TaskEvent::Failed { error, at, .. }) = event else {
            return None;
        };
        let TaskState::Running(lease) = &self.state else { return None };
        Some(Attempt {
            task: self.id,
            epoch: lease.epoch,
            started_at: lease.started_at,
            ended_at: *at,
            error: Arc::clone(error),
        })
    }

    /// Applies an event. Total: an event that `decide` returned cannot fail here.
    pub fn evolve(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::Claimed(lease) => {
                self.epoch = lease.epoch;
                self.state = TaskState::Running(*lease);
            }
            TaskEvent::Succeeded { output, provenance, at } => {
                let started_at = match &self.state {
                    TaskState::Running(lease) => lease.started_at,
                    _ => self.created_at,
                };
                self.state = TaskState::Succeeded {
                    output: output.clone(),
                    provenance: Arc::clone(provenance),
                    started_at,
                    ended_at: *at,
                };
            }
            TaskEvent::WillRetry { at, error, crashed, .. } => {
                self.count_failure(*crashed);
                self.state = TaskState::Retrying { at: *at, error: Arc::clone(error) };
            }
            TaskEvent::Failed { error, dead, crashed, at } => {
                if matches!(self.state, TaskState::Running(_)) {
                    self.count_failure(*crashed);
                }
                self.state = TaskState::Failed { error: Arc::clone(error), dead: *dead, ended_at: *at };
            }
            TaskEvent::Ready { rank } => self.state = TaskState::Ready { rank: *rank },
            TaskEvent::Revived { rank } => {
                self.failures = 0;
                self.crashes = 0;
                self.state = TaskState::Ready { rank: *rank };
            }
            TaskEvent::Discarded { reason, at } => {
                if let TaskState::Failed { error, dead, ended_at } = &self.state {
                    self.state = TaskState::Discarded {
                        error: Arc::clone(error),
                        dead: *dead,
                        reason: Arc::clone(reason),
                        ended_at: *ended_at,
                        discarded_at: *at,
                    };
                }
            }
            TaskEvent::Held { reason, rank } => self.state = TaskState::Held { reason: *reason, rank: *rank },
            TaskEvent::Parked { rank, needs } => self.state = TaskState::Parked { rank: *rank, needs: *needs },
            TaskEvent::Cancelled { reason, at } => {
                self.state = TaskState::Cancelled { reason: Arc::clone(reason), ended_at: *at };
            }
        }
    }

    /// Counts a lost attempt apart from failures: one says nothing about the task until there are more.
    fn count_failure(&mut self, crashed: bool) {
        if crashed {
            self.crashes += 1;
        } else {
            self.failures += 1;
        }
    }
}
