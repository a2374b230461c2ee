//! What has to happen outside once a turn is committed.

use std::sync::Arc;

use kapelle_core::{
    DurationMs, Name, Payload, RunId, TaskId, TenantId,
    task::{Lease, Task},
};

use super::notice::Notice;
use crate::{evaluate::Evaluation, events::Event};

/// What has to happen outside once a turn is committed. Each follows from the state, so that a crash loses none.
#[derive(Debug)]
pub enum Effect {
    /// Let a worker of this process do an attempt.
    Dispatch(Dispatch),
    /// Stop an attempt that runs in this process.
    Stop(TaskId),
    /// Evaluate the condition and input of a step, or the outputs of a run.
    Evaluate(Box<Evaluation>),
    /// A task has ended: tell those who wait for it.
    Ended(Arc<Task>),
    /// A run has ended: tell those who wait for it.
    RunEnded(RunId),
    /// Write the session log.
    Session(Arc<super::session::Logged>),
    /// Tell those who watch.
    Notify(Event),
    /// Tell those who listen: about money, and who holds a task.
    Tell(Notice),
}

/// An attempt to be done in this process.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Dispatch {
    pub task: TaskId,
    pub tenant: TenantId,
    pub worker: Name,
    pub input: Payload,
    pub lease: Lease,
    pub timeout: DurationMs,
    /// No further attempt follows should this one fail.
    pub last_attempt: bool,
    pub recorded: bool,
    /// The run and the path of the step, when it is one.
    pub step: Option<(RunId, String)>,
}
