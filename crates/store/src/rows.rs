//! Arguments and results of queries.

use std::collections::VecDeque;
use std::sync::Arc;

use kapelle_core::{
    Name, Payload, Requires, RunId, TaskId, TenantId, Timestamp,
    definition::Strategy,
    run::{Opening, Parent, Rerun, Run, RunStatus, StatusKind},
    task::{StateKind, WaitFor},
};
use serde::{Deserialize, Serialize};

/// Row of a run: everything but its steps, which have their own rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RunRow {
    pub id: RunId,
    pub tenant: TenantId,
    pub workflow: Name,
    /// Key of the version it uses.
    pub version: i64,
    /// Order in which its ready steps start.
    pub strategy: Strategy,
    /// Inputs given at the start.
    pub inputs: Payload,
    pub created_at: Timestamp,
    /// Current status.
    pub status: RunStatus,
    /// Step whose failure stopped it.
    pub stopped_by: Option<TaskId>,
    /// Since then nothing begins, until it is resumed.
    pub paused: Option<Timestamp>,
    /// Time since which it only waits.
    pub clock_paused: Option<Timestamp>,
    /// Signals that came before a step waited for them, oldest first.
    pub mailbox: VecDeque<(Name, Payload)>,
    /// Origin, if it is part of another run.
    pub parent: Option<Parent>,
    /// Key that started it. `None` means the owner of the folder.
    pub started_by: Option<Arc<str>>,
    /// Run whose results it reuses.
    pub rerun: Option<Rerun>,
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

/// Returns what a waiting step's row holds: the scope it opened, or the signal it waits for.
pub(crate) fn waited(wait: Option<&WaitFor>) -> (Option<Opening>, Option<Name>) {
    match wait {
        Some(WaitFor::Scope(opening)) => (Some(*opening), None),
        Some(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
        _ => (None, None),
    }
}

/// Beginning and size of a page, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Upper bound of ids, exclusive. `None` for the first page.
    pub before: Option<i64>,
    /// Limit of rows, never more than 1,000.
    pub most: u32,
}

/// Filter of tasks. A missing field does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Tasks in this state.
    pub state: Option<StateKind>,
    /// Tasks of this queue.
    pub queue: Option<Name>,
    /// Tasks of this worker.
    pub worker: Option<Name>,
    /// Whether only dead tasks are wanted: those whose worker died too often.
    pub dead: bool,
    /// Whether steps of runs are wanted, too.
    pub steps: bool,
    /// Steps of this run, whatever `steps` says.
    pub run: Option<RunId>,
    /// Tasks submitted at that time or later.
    pub since: Option<Timestamp>,
    /// Tasks submitted before that time.
    pub until: Option<Timestamp>,
}

/// Filter of runs. A missing field does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Runs of this workflow.
    pub workflow: Option<Name>,
    /// Whether only open runs are wanted.
    pub open: bool,
    /// Runs with one of these states; with any when empty.
    pub states: Vec<StatusKind>,
    /// Runs started at that time or later.
    pub since: Option<Timestamp>,
    /// Runs started before that time.
    pub until: Option<Timestamp>,
}

/// Number of tasks of a lane in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LaneCount {
    pub queue: Name,
    pub worker: Name,
    /// Labels that a host needs.
    pub requires: Requires,
    pub state: StateKind,
    /// Number of tasks.
    pub tasks: u64,
    /// Submission of the oldest of them.
    pub oldest: Timestamp,
}
