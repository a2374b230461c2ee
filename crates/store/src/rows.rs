//! What queries give and take.

use std::collections::VecDeque;
use std::sync::Arc;

use kapelle_core::{
    Name, Payload, Requires, RunId, TaskId, TenantId, Timestamp,
    definition::Strategy,
    run::{Opening, Parent, Rerun, Run, RunStatus},
    task::{StateKind, WaitFor},
};

/// A run as its row has it: everything but its steps, which are rows of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its key.
    pub id: RunId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The workflow.
    pub workflow: Name,
    /// The key of the version it stays on.
    pub version: i64,
    /// In which order its ready steps start.
    pub strategy: Strategy,
    /// What it was started with.
    pub inputs: Payload,
    /// When it was started.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: RunStatus,
    /// The step whose failure stopped it.
    pub stopped_by: Option<TaskId>,
    /// Since then nothing begins, until it is resumed.
    pub paused: Option<Timestamp>,
    /// Since then it does nothing but wait.
    pub clock_paused: Option<Timestamp>,
    /// Signals that came before a step waited for them, oldest first.
    pub mailbox: VecDeque<(Name, Payload)>,
    /// What started it, when it is part of another.
    pub parent: Option<Parent>,
    /// The key that started it; `None` means the owner of the folder.
    pub started_by: Option<Arc<str>>,
    /// The run whose results it takes over.
    pub rerun: Option<Rerun>,
    /// When it is out of time.
    pub due_at: Option<Timestamp>,
    /// The number of the next journal entry.
    pub seq: u64,
    /// Raised by every committed change.
    pub revision: u32,
}

impl From<&Run> for RunRow {
    fn from(run: &Run) -> RunRow {
        RunRow {
            id: run.id,
            tenant: run.tenant,
            workflow: run.workflow.clone(),
            version: run.version,
            strategy: run.strategy.clone(),
            inputs: run.inputs.clone(),
            created_at: run.created_at,
            status: run.status.clone(),
            stopped_by: run.failed_by(),
            paused: run.paused,
            clock_paused: run.clock_paused,
            mailbox: run.mailbox.clone(),
            parent: run.parent,
            started_by: run.started_by.clone(),
            rerun: run.rerun.clone(),
            due_at: run.due_at,
            seq: run.seq,
            revision: run.revision,
        }
    }
}

/// What a run's rows tell of a step that waits: the scope it opened, or the signal it waits for.
pub(crate) fn waited(wait: Option<&WaitFor>) -> (Option<Opening>, Option<Name>) {
    match wait {
        Some(WaitFor::Scope(opening)) => (Some(*opening), None),
        Some(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
        _ => (None, None),
    }
}

/// Where a page begins, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only ids below this one; none for the first page.
    pub before: Option<i64>,
    /// At most so many, and never more than 1,000.
    pub most: u32,
}

/// Which tasks are wanted. Fields left out do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In this state.
    pub state: Option<StateKind>,
    /// In this queue.
    pub queue: Option<Name>,
    /// For this worker.
    pub worker: Option<Name>,
    /// Dead tasks only: those that killed their worker too often.
    pub dead: bool,
    /// Also the steps of runs; otherwise only tasks of their own.
    pub steps: bool,
}

/// Which runs are wanted. Fields left out do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<Name>,
    /// Only those that have not ended.
    pub open: bool,
}

/// How many tasks of a lane are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneCount {
    /// The queue.
    pub queue: Name,
    /// The worker.
    pub worker: Name,
    /// The labels that a host must have.
    pub requires: Requires,
    /// The state.
    pub state: StateKind,
    /// How many.
    pub tasks: u64,
}
