//! What can happen to a task, and what each does to its state.

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

/// A fact about a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// A worker has it.
    Claimed(Lease),
    /// The answer was accepted.
    Succeeded {
        /// The answer.
        output: Payload,
        /// Where it came from.
        provenance: Arc<Provenance>,
        /// When.
        at: Timestamp,
    },
    /// The attempt failed and another follows at a time.
    WillRetry {
        /// That time.
        at: Timestamp,
        /// Why it failed.
        error: Arc<TaskError>,
        /// The worker died of it.
        crashed: bool,
        /// When it failed.
        now: Timestamp,
    },
    /// It is given up.
    Failed {
        /// Why.
        error: Arc<TaskError>,
        /// It killed its worker too often.
        dead: bool,
        /// The worker died of the last attempt.
        crashed: bool,
        /// When.
        at: Timestamp,
    },
    /// Lacks nothing but a slot from now on.
    Ready {
        /// Its place in the order.
        rank: Rank,
    },
    /// A dead task was put back by hand, with its counts at zero.
    Revived {
        /// Its place in the order.
        rank: Rank,
    },
    /// A dead letter was dealt with by hand.
    Discarded {
        /// By whom or why.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// Lacks something.
    Held {
        /// What.
        reason: HoldReason,
        /// Its place in the order.
        rank: Rank,
    },
    /// Lacks money.
    Parked {
        /// Its place in the order.
        rank: Rank,
        /// What the next call would cost at most.
        needs: Money,
    },
    /// Ended by somebody.
    Cancelled {
        /// By whom or why.
        reason: Arc<str>,
        /// When.
        at: Timestamp,
    },
}

/// An attempt that did not succeed. Attempts that did are told by their task alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The task.
    pub task: TaskId,
    /// Which attempt.
    pub epoch: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why it failed, with what it had spent.
    pub error: Arc<TaskError>,
}

impl Task {
    /// The attempt that `event` ends without success, to be kept. Asked before [`Task::evolve`].
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

    /// Applies a fact. Total: what `decide` allowed cannot fail here.
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

    /// A crash is counted apart from failures: a worker that dies says nothing about the task until it dies again.
    fn count_failure(&mut self, crashed: bool) {
        if crashed {
            self.crashes += 1;
        } else {
            self.failures += 1;
        }
    }
}
