//! Events of a run: the entries of its journal, in their stored form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    scope::{Opening, ScopeId, Slot},
    verdict::SkipReason,
};
use crate::{
    Name, TaskError,
    id::{RunId, TaskId},
    time::Timestamp,
};

/// Result of a task of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented at TaskState")]
pub enum Outcome {
    Succeeded,
    Failed,
    Cancelled,
}

/// An entry of the journal: ids and decisions, never payloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum RunEvent {
    /// The run was started.
    Started {
        /// Version of the definition.
        version: i64,
        at: Timestamp,
    },
    /// A step has a task.
    StepStarted {
        scope: ScopeId,
        slot: Slot,
        task: TaskId,
        /// Signal that it waits for, if it waits for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Name>,
    },
    /// A step opened a scope of its own: its items, its turns, or the steps inside of it.
    ScopeOpened {
        scope: ScopeId,
        slot: Slot,
        /// Row that waits for the scope.
        task: TaskId,
        /// Kind of the scope; of a branch, the block that its condition chose.
        opening: Opening,
    },
    /// A step was skipped.
    StepSkipped {
        scope: ScopeId,
        slot: Slot,
        /// Row of the skipped step.
        task: TaskId,
        reason: SkipReason,
    },
    /// A step ended.
    StepEnded { scope: ScopeId, slot: Slot, task: TaskId, outcome: Outcome },
    /// A loop takes no further turn: its `until` holds.
    LoopEnded {
        /// Scope of its turns.
        scope: ScopeId,
    },
    /// A scope fails, because a step in it did.
    ScopeFailed {
        scope: ScopeId,
        /// Task of the failed step.
        task: TaskId,
        /// Whether only steps that run after failures may still begin in it.
        stops: bool,
    },
    /// The run fails at once; its open tasks are cancelled.
    Failing { error: Arc<TaskError> },
    /// The run's own steps are over: those of its `on_error`, `on_cancel` or `finally` begin.
    TailOpened { scope: ScopeId },
    /// The run was paused: no step begins.
    Paused { at: Timestamp },
    /// The run was resumed.
    Resumed { at: Timestamp },
    /// The run only waits: its clock stops.
    ClockPaused { at: Timestamp },
    /// The run works again: its clock runs.
    ClockResumed { at: Timestamp },
    /// A signal arrived that no step waits for yet.
    SignalKept { name: Name },
    /// A signal arrived that no step waits for, and that no step takes later.
    SignalLost { name: Name },
    /// A step took a signal that had been stored.
    SignalTaken { name: Name },
    /// The end of the run starts, or should start, a run of another workflow.
    Triggered {
        workflow: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Reason why the run was not started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Arc<str>>,
    },
    /// A user requested the cancellation.
    CancelRequested {
        /// User or reason of the request.
        reason: Arc<str>,
    },
    /// The run succeeded.
    Succeeded { at: Timestamp },
    /// The run failed.
    Failed { error: Arc<TaskError>, at: Timestamp },
    /// The run was cancelled, and its last open task has ended.
    Cancelled { at: Timestamp },
}
