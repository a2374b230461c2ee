//! Effects of a turn, performed after its commit.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, Payload, RunId, TaskId, TenantId,
    task::{Lease, Task},
};

use super::notice::Notice;
use crate::{evaluate::Evaluation, events::Event};

/// An effect of a turn. Each follows from the state, so that a crash loses none.
#[derive(Debug)]
pub enum Effect {
    /// Starts an attempt in this process.
    Dispatch(Dispatch),
    /// Stops an attempt in this process.
    Stop(TaskId),
    /// Evaluates the condition and input of a step, or the outputs of a run.
    Evaluate(Box<Evaluation>),
    /// Informs waiters of the end of a task.
    Ended(Arc<Task>),
    /// Informs waiters of the end of a run.
    RunEnded(RunId),
    /// Writes the session log.
    Session(Arc<super::session::Logged>),
    /// Informs watchers.
    Notify(Event),
    /// Informs listeners of money and leases.
    Tell(Notice),
}

/// An attempt to run in this process.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Dispatch {
    pub task: TaskId,
    pub tenant: TenantId,
    pub worker: Name,
    pub input: Payload,
    pub lease: Lease,
    pub timeout: DurationMs,
    /// Whether no further attempt follows a failure.
    pub last_attempt: bool,
    pub recorded: bool,
    /// Run and path of the step, if it is one.
    pub step: Option<(RunId, String)>,
}
