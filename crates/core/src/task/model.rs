//! State of a task.

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

/// One piece of work and its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Task {
    pub id: TaskId,
    pub tenant: TenantId,
    /// Queue in which it waits.
    pub queue: Name,
    /// Worker that runs it.
    pub worker: Name,
    /// From -100 (last) to 100 (first).
    pub priority: i16,
    /// Key by which concurrency limits of its worker or queue group tasks.
    pub key: Option<Name>,
    /// Input of the worker.
    pub input: Payload,
    /// Step of a run that it is, if it belongs to one.
    pub origin: Option<Origin>,
    /// Retry rules and time limits.
    pub policy: Arc<Policy>,
    /// Time of submission.
    pub created_at: Timestamp,
    /// Current state.
    pub state: TaskState,
    /// Number of the attempt, raised by every claim.
    pub epoch: u32,
    /// Failed attempts that count against `max_attempts`.
    pub failures: u32,
    /// Attempts that were lost with their host or process while the server worked.
    pub crashes: u32,
    /// Number that rises with every committed change; a write names the one it read.
    pub revision: u32,
}

/// Step of a run that a task is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Origin {
    pub run: RunId,
    /// Scope within the run.
    pub scope: ScopeId,
    /// Position within the scope: a step of its block, an item of its list or a turn of its loop.
    pub slot: Slot,
    /// Path as people write it: `classify[17].score`.
    pub path: Arc<str>,
}

/// Retry rules and time limits, fixed at submission and shared by tasks that were submitted alike.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Retry rules.
    pub retry: RetryPolicy,
    /// Timeout of one attempt.
    #[serde(default, rename = "timeout_ms", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationMs>,
    /// Time at which the task fails in any state; its clock never stops.
    #[serde(default, rename = "deadline_ms", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Time at which the task fails unless its first attempt has begun; its clock never stops.
    #[serde(default, rename = "expires_ms", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Cost limit of the task.
    #[serde(default, rename = "max_cost_nanousd", skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// Labels that a host needs to be assigned it.
    #[serde(default, skip_serializing_if = "Requires::is_empty")]
    pub requires: Requires,
    /// Whether its model calls are answered from the record of the run that its run repeats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// State of a task. Each state owns the data that exists only in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum TaskState {
    /// It becomes ready at a requested time.
    Scheduled { at: Timestamp },
    /// It waits only for a slot.
    Ready {
        /// Position in the order of ready tasks.
        rank: Rank,
    },
    /// A worker has it.
    Running(Lease),
    /// It failed, and is retried at `at`.
    Retrying {
        at: Timestamp,
        /// Error of the last attempt.
        error: Arc<TaskError>,
    },
    /// It is held for another reason than a slot or money.
    Held {
        /// Reason of the hold.
        reason: HoldReason,
        /// Position in the order once it is lifted.
        rank: Rank,
    },
    /// It was parked for lack of money.
    Parked {
        /// Position in the order once it is lifted.
        rank: Rank,
        /// Highest cost of the next call.
        needs: Money,
    },
    /// A step that waits for another event than a worker's answer.
    Waiting(WaitFor),
    /// It succeeded.
    Succeeded {
        output: Payload,
        /// Origin of the answer.
        provenance: Arc<Provenance>,
        /// Start of the successful attempt.
        started_at: Timestamp,
        /// Time at which the answer was accepted.
        ended_at: Timestamp,
    },
    /// It was given up.
    Failed {
        error: Arc<TaskError>,
        /// Whether too many attempts were lost: a task that may end its workers.
        dead: bool,
        ended_at: Timestamp,
    },
    /// Cancelled by a user.
    Cancelled {
        /// User or reason of the request.
        reason: Arc<str>,
        ended_at: Timestamp,
    },
    /// A dead letter that a user discarded: it is not retried, and all data of it stays.
    Discarded {
        /// Error of the failure.
        error: Arc<TaskError>,
        /// Whether it was a poison task.
        dead: bool,
        /// User or reason of the discarding.
        reason: Arc<str>,
        /// Time of the failure.
        ended_at: Timestamp,
        /// Time of the discarding.
        discarded_at: Timestamp,
    },
    /// A step that its condition or needs skipped.
    Skipped {
        /// Reason for skipping.
        reason: Arc<str>,
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

    /// Returns the kind with that number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<StateKind> {
        StateKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// Returns the word shown to people and sent on the wire.
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

    /// Tells whether the state is final, except for a retry by hand.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self as u8 >= 10
    }
}

impl TaskState {
    /// Returns the state without its data.
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

/// Right to report on one attempt. The attempt belongs to the reporter that presents exactly the recorded lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Lease {
    pub epoch: u32,
    /// Random number, so that a lease cannot be guessed and a restored backup does not know leases assigned later.
    pub nonce: u64,
    /// Host that holds it; 0 is the server's own process.
    pub host: u32,
    /// Start of the attempt.
    pub started_at: Timestamp,
}

/// Lease that a reporting worker presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Report {
    pub task: TaskId,
    pub epoch: u32,
    /// Random number that came with the claim.
    pub nonce: u64,
}

/// Reason why a command was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Rejection {
    /// The attempt has been replaced by another, or is over.
    #[error("{0}: the lease is no longer valid (lease_lost); the task was given to another attempt or has ended")]
    LeaseLost(TaskId),
    /// The task has already ended.
    #[error("{id} has already {}", state.as_str())]
    Ended {
        id: TaskId,
        /// Final state.
        state: StateKind,
    },
    /// The task is not in a state that allows the command.
    #[error("{id} is {}, so it cannot be {verb}", state.as_str())]
    WrongState {
        id: TaskId,
        state: StateKind,
        /// The command, as a verb.
        verb: &'static str,
    },
}

impl Task {
    /// Returns the recorded lease, when `report` presents exactly it.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] for any other lease and in any other state.
    pub fn lease(&self, report: &Report) -> Result<&Lease, Rejection> {
        match &self.state {
            TaskState::Running(lease) if lease.epoch == report.epoch && lease.nonce == report.nonce => Ok(lease),
            _ => Err(Rejection::LeaseLost(self.id)),
        }
    }

    /// Returns the next time at which the task changes by itself.
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

    /// Returns the time of its end, if it has ended.
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

    /// Checks that the task has not ended.
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
