//! Commands to tasks.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Money, Name, Requires, TaskError, TaskId, TenantId, Timestamp, cache::Cacheable, retry::RetryPolicy,
    worker::Provenance,
};
use serde::{Deserialize, Serialize};

use crate::turn::{Key, NewPayload};

/// A task that somebody wants done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmitTask {
    /// The worker it is for.
    pub worker: Name,
    /// The queue; that of the worker when none is named.
    pub queue: Option<Name>,
    /// What the worker gets.
    pub input: NewPayload,
    /// Higher first; -100 to 100.
    pub priority: i16,
    /// What concurrency limits group it by.
    pub key: Option<Name>,
    /// Not before that long from now.
    pub delay: DurationMs,
    /// When it fails whatever it is doing.
    pub deadline: Option<Timestamp>,
    /// When it fails unless its first attempt has begun.
    pub ttl: Option<DurationMs>,
    /// How long an attempt may take; the worker's own limit when none is given.
    pub timeout: Option<DurationMs>,
    /// When it is tried again; the worker's own rules when none are given.
    pub retry: Option<RetryPolicy>,
    /// The most it may cost.
    pub max_cost: Option<Money>,
    /// The labels that a host must have to be given it, besides those that the worker requires.
    pub requires: Requires,
    /// The question it is, when an earlier answer will do. Read at submission; a delayed task is always run.
    pub cache: Option<Cacheable>,
}

impl SubmitTask {
    /// A task for a worker, all else as the worker has it.
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

/// Make tasks, all or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submit {
    /// Whose they are.
    pub tenant: TenantId,
    /// What they are.
    pub tasks: Arc<[SubmitTask]>,
    /// Makes the request repeatable.
    pub key: Option<Key>,
}

/// The tasks that were made, with consecutive ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The first.
    pub first: TaskId,
    /// How many.
    pub count: u32,
    /// They had been made for the same key before.
    pub repeated: bool,
}

/// What a worker reports of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reported {
    /// The answer.
    Succeed {
        /// The answer itself.
        output: NewPayload,
        /// Where it came from.
        provenance: Arc<Provenance>,
    },
    /// It failed.
    Fail {
        /// Why.
        error: TaskError,
    },
    /// The task is given back.
    Release,
}

/// End a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub task: TaskId,
    /// By whom or why.
    pub reason: Arc<str>,
}

/// Put a failed task back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryByHand {
    /// Which.
    pub task: TaskId,
}

/// Mark a failed task as dealt with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Discard {
    /// Which.
    pub task: TaskId,
    /// By whom or why.
    pub reason: Arc<str>,
}
