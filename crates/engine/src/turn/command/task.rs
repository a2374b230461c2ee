//! Commands to tasks.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Money, Name, Requires, TaskError, TaskId, TenantId, Timestamp, cache::Cacheable, retry::RetryPolicy,
    worker::Provenance,
};
use serde::{Deserialize, Serialize};

use crate::turn::{Key, NewPayload};

/// Order for a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SubmitTask {
    pub worker: Name,
    /// Queue of the task. `None`: that of the worker.
    pub queue: Option<Name>,
    /// Input of the worker.
    pub input: NewPayload,
    /// From -100 (last) to 100 (first).
    pub priority: i16,
    /// Concurrency key.
    pub key: Option<Name>,
    /// Time before the task becomes ready.
    pub delay: DurationMs,
    /// Time at which the task fails in any state.
    pub deadline: Option<Timestamp>,
    /// Time after which the task fails unless its first attempt has begun.
    pub ttl: Option<DurationMs>,
    /// Time limit of an attempt. `None`: that of the worker.
    pub timeout: Option<DurationMs>,
    /// Retry rules. `None`: those of the worker.
    pub retry: Option<RetryPolicy>,
    /// Limit of its cost.
    pub max_cost: Option<Money>,
    /// Labels that a host needs besides those that the worker requires.
    pub requires: Requires,
    /// Cache key, if an earlier answer will do. Read at submission; a delayed task always runs.
    pub cache: Option<Cacheable>,
}

impl SubmitTask {
    /// Makes the order for a task with the defaults of its worker.
    #[must_use]
    pub fn new(worker: Name, input: NewPayload) -> SubmitTask {
        SubmitTask {
            worker,
            queue: None,
            input,
            priority: 0,
            key: None,
            delay: DurationMs::ZERO,
            deadline: None,
            ttl: None,
            timeout: None,
            retry: None,
            max_cost: None,
            requires: Requires::default(),
            cache: None,
        }
    }
}

/// Submission of tasks, all or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Submit {
    pub tenant: TenantId,
    pub tasks: Arc<[SubmitTask]>,
    pub key: Option<Key>,
}

/// Submitted tasks, with consecutive ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Made {
    pub first: TaskId,
    pub count: u32,
    /// Whether they were submitted before for this key.
    pub repeated: bool,
}

/// Result that a worker reports of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum Reported {
    Succeed {
        output: NewPayload,
        provenance: Arc<Provenance>,
    },
    /// The attempt failed.
    Fail {
        error: TaskError,
    },
    /// The task is released.
    Release,
}

/// Cancel of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Cancel {
    pub task: TaskId,
    pub reason: Arc<str>,
}

/// Retry of a failed task by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RetryByHand {
    pub task: TaskId,
    /// Idempotency key, with its tenant.
    #[serde(default)]
    pub key: Option<(TenantId, Key)>,
}

/// Discarding of a failed task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Discard {
    pub task: TaskId,
    pub reason: Arc<str>,
}
