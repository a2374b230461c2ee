//! What a task is made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Name, Payload, TaskError, TenantId,
    id::{RunId, TaskId},
    label::Requires,
    money::Money,
    retry::RetryPolicy,
    run::{ScopeId, Slot},
    task::{rank::Rank, reason::HoldReason, wait::WaitFor},
    time::{DurationMs, Timestamp},
    worker::Provenance,
};

/// One piece of work and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its key.
    pub id: TaskId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The queue it waits in.
    pub queue: Name,
    /// The worker it is for.
    pub worker: Name,
    /// Higher first; -100 to 100.
    pub priority: i16,
    /// What concurrency limits of its worker or queue group it by.
    pub key: Option<Name>,
    /// What the worker gets.
    pub input: Payload,
    /// The step it is, when it belongs to a run.
    pub origin: Option<Origin>,
    /// Retry rules and time limits.
    pub policy: Arc<Policy>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: TaskState,
    /// Raised by every claim: the number of the attempt.
    pub epoch: u32,
    /// Failed attempts that count against `max_attempts`.
    pub failures: u32,
    /// Attempts whose worker died while the server lived.
    pub crashes: u32,
    /// Raised by every committed change; writes name the one they saw.
    pub revision: u32,
}

/// The step of a run that a task is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The run.
    pub run: RunId,
    /// The scope within the run.
    pub scope: ScopeId,
    /// The place within the scope: a step of its block, an item of its list or a turn of its loop.
    pub slot: Slot,
    /// The same as people write it: `classify[17].score`.
    pub path: Arc<str>,
}

/// Retry rules and time limits, fixed at submission and shared by tasks that were submitted alike.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// When a failed attempt is tried again.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    #[serde(default, rename = "timeout_ms", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// When the task fails whatever it is doing; never stops.
    #[serde(default, rename = "deadline_ms", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// When the task fails unless its first attempt has begun; never stops.
    #[serde(default, rename = "expires_ms", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The most it may cost.
    #[serde(default, rename = "max_cost_nanousd", skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// The labels that a host must have to be given it.
    #[serde(default, skip_serializing_if = "Requires::is_empty")]
    pub requires: Requires,
    /// Its calls of models are answered from the record of the run that its run repeats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// Where a task stands. Each state owns what is only true in it.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// Becomes ready at a time that was asked for.
    Scheduled {
        /// That time.
        at: Timestamp,
    },
    /// Lacks nothing but a slot.
    Ready {
        /// Its place in the order.
        rank: Rank,
    },
    /// A worker has it.
    Running(Lease),
    /// Failed, and tried again at a time.
    Retrying {
        /// That time.
        at: Timestamp,
        /// Why the last attempt failed.
        error: Arc<TaskError>,
    },
    /// Lacks something other than a slot or money.
    Held {
        /// What it lacks.
        reason: HoldReason,
        /// Its place in the order once that is there.
        rank: Rank,
    },
    /// Lacks money.
    Parked {
        /// Its place in the order once there is money.
        rank: Rank,
        /// What the next call would cost at most.
        needs: Money,
    },
    /// A step that waits for something other than a worker.
    Waiting(WaitFor),
    /// Done.
    Succeeded {
        /// The answer.
        output: Payload,
        /// Where the answer came from.
        provenance: Arc<Provenance>,
        /// When the attempt began.
        started_at: Timestamp,
        /// When it was accepted.
        ended_at: Timestamp,
    },
    /// Given up.
    Failed {
        /// Why.
        error: Arc<TaskError>,
        /// It killed its worker too often: a poison task.
        dead: bool,
        /// When.
        ended_at: Timestamp,
    },
    /// Ended by somebody.
    Cancelled {
        /// By whom or why.
        reason: Arc<str>,
        /// When.
        ended_at: Timestamp,
    },
    /// A dead letter that somebody has dealt with: it is not tried again, and all that is known of it stays.
    Discarded {
        /// Why it had failed.
        error: Arc<TaskError>,
        /// It was a poison task.
        dead: bool,
        /// By whom or why it was discarded.
        reason: Arc<str>,
        /// When it had failed.
        ended_at: Timestamp,
        /// When it was discarded.
        discarded_at: Timestamp,
    },
    /// A step whose condition or needs kept it from running.
    Skipped {
        /// What kept it.
        reason: Arc<str>,
        /// When.
        ended_at: Timestamp,
    },
}

/// A state without its data, as stored, counted and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented at TaskState")]
#[repr(u8)]
pub enum StateKind {
    Scheduled = 0,
    Ready = 1,
    Running = 2,
    Retrying = 3,
    Held = 4,
    Parked = 5,
    Waiting = 6,
    Succeeded = 10,
    Failed = 11,
    Cancelled = 12,
    Skipped = 13,
    Discarded = 14,
}

impl StateKind {
    /// Every kind.
    pub const ALL: [StateKind; 12] = [
        StateKind::Scheduled,
        StateKind::Ready,
        StateKind::Running,
        StateKind::Retrying,
        StateKind::Held,
        StateKind::Parked,
        StateKind::Waiting,
        StateKind::Succeeded,
        StateKind::Failed,
        StateKind::Cancelled,
        StateKind::Skipped,
        StateKind::Discarded,
    ];

    /// The kind with that number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<StateKind> {
        StateKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The word shown to people and sent on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StateKind::Scheduled => "scheduled",
            StateKind::Ready => "ready",
            StateKind::Running => "running",
            StateKind::Retrying => "retrying",
            StateKind::Held => "held",
            StateKind::Parked => "parked",
            StateKind::Waiting => "waiting",
            StateKind::Succeeded => "succeeded",
            StateKind::Failed => "failed",
            StateKind::Cancelled => "cancelled",
            StateKind::Skipped => "skipped",
            StateKind::Discarded => "discarded",
        }
    }

    /// Nothing follows it, but a retry by hand.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self as u8 >= 10
    }
}

impl TaskState {
    /// The state without its data.
    #[must_use]
    pub fn kind(&self) -> StateKind {
        match self {
            TaskState::Scheduled { .. } => StateKind::Scheduled,
            TaskState::Ready { .. } => StateKind::Ready,
            TaskState::Running(_) => StateKind::Running,
            TaskState::Retrying { .. } => StateKind::Retrying,
            TaskState::Held { .. } => StateKind::Held,
            TaskState::Parked { .. } => StateKind::Parked,
            TaskState::Waiting(_) => StateKind::Waiting,
            TaskState::Succeeded { .. } => StateKind::Succeeded,
            TaskState::Failed { .. } => StateKind::Failed,
            TaskState::Cancelled { .. } => StateKind::Cancelled,
            TaskState::Skipped { .. } => StateKind::Skipped,
            TaskState::Discarded { .. } => StateKind::Discarded,
        }
    }
}

/// The right to report on one attempt. The attempt belongs to whoever presents exactly the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The attempt.
    pub epoch: u32,
    /// Random, so that a lease cannot be guessed and a restored backup knows none of the leases given since.
    pub nonce: u64,
    /// Who has it; 0 is the server's own process.
    pub host: u32,
    /// When it was given.
    pub started_at: Timestamp,
}

/// What a reporting worker presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub epoch: u32,
    /// The nonce that came with the claim.
    pub nonce: u64,
}

/// Why a command was refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The attempt has been given to another, or is over.
    #[error("{0}: the lease is no longer valid (lease_lost); the task was given to another attempt or has ended")]
    LeaseLost(TaskId),
    /// It has ended already.
    #[error("{id} has already {}", state.as_str())]
    Ended {
        /// The task.
        id: TaskId,
        /// How it ended.
        state: StateKind,
    },
    /// It is not in a state in which this can be done.
    #[error("{id} is {}, so it cannot be {verb}", state.as_str())]
    WrongState {
        /// The task.
        id: TaskId,
        /// Where it stands.
        state: StateKind,
        /// What was wanted.
        verb: &'static str,
    },
}

impl Task {
    /// The recorded lease, when `report` presents exactly it.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] for any other lease and in any other state.
    pub fn lease(&self, report: &Report) -> Result<&Lease, Rejection> {
        match &self.state {
            TaskState::Running(lease) if lease.epoch == report.epoch && lease.nonce == report.nonce => Ok(lease),
            _ => Err(Rejection::LeaseLost(self.id)),
        }
    }

    /// The next moment at which something must happen to the task by itself.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let deadline = self.policy.deadline;
        let expires = if self.epoch == 0 { self.policy.expires } else { None };
        let limit = match (deadline, expires) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match self.state {
            TaskState::Scheduled { at } | TaskState::Retrying { at, .. } => {
                Some(limit.map_or(at, |limit| limit.min(at)))
            }
            TaskState::Running(_) => deadline,
            TaskState::Ready { .. } | TaskState::Held { .. } | TaskState::Parked { .. } => limit,
            TaskState::Waiting(ref wait) => match (deadline, wait.until()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            _ => None,
        }
    }

    /// When it ended, when it has.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            TaskState::Succeeded { ended_at, .. }
            | TaskState::Failed { ended_at, .. }
            | TaskState::Cancelled { ended_at, .. }
            | TaskState::Discarded { ended_at, .. }
            | TaskState::Skipped { ended_at, .. } => Some(ended_at),
            _ => None,
        }
    }

    /// Refuses when the task has ended.
    ///
    /// # Errors
    /// [`Rejection::Ended`].
    pub fn still_open(&self) -> Result<(), Rejection> {
        let state = self.state.kind();
        if state.is_terminal() { Err(Rejection::Ended { id: self.id, state }) } else { Ok(()) }
    }

    pub(super) fn wrong_state(&self, verb: &'static str) -> Rejection {
        let state = self.state.kind();
        if state.is_terminal() {
            Rejection::Ended { id: self.id, state }
        } else {
            Rejection::WrongState { id: self.id, state, verb }
        }
    }
}
