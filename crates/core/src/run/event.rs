//! What can happen to a run: the entries of its journal, in their stored form.

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

/// How a task of the run ended.
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
pub enum RunEvent {
    /// It was started.
    Started {
        /// The version of the definition.
        version: i64,
        /// When.
        at: Timestamp,
    },
    /// A step has a task.
    StepStarted {
        /// Where.
        scope: ScopeId,
        /// Which slot.
        slot: Slot,
        /// Its task.
        task: TaskId,
        /// The signal it waits for, when it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Name>,
    },
    /// A step opened a scope of its own: its items, its turns, or the steps inside of it.
    ScopeOpened {
        /// Where the step is.
        scope: ScopeId,
        /// Which slot.
        slot: Slot,
        /// The row that waits for the scope.
        task: TaskId,
        /// What it opened; of a branch, the block that its condition chose.
        opening: Opening,
    },
    /// A step was kept from running.
    StepSkipped {
        /// Where.
        scope: ScopeId,
        /// Which slot.
        slot: Slot,
        /// The row that says so.
        task: TaskId,
        /// What kept it.
        reason: SkipReason,
    },
    /// A step ended.
    StepEnded {
        /// Where.
        scope: ScopeId,
        /// Which slot.
        slot: Slot,
        /// Its task.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// A loop takes no further turn: its `until` holds.
    LoopEnded {
        /// The scope of its turns.
        scope: ScopeId,
    },
    /// A scope fails, because a step in it did.
    ScopeFailed {
        /// Which.
        scope: ScopeId,
        /// The task of the step.
        task: TaskId,
        /// Whether nothing further begins in it but what asks for failures.
        stops: bool,
    },
    /// The run fails at once; what is open is cancelled.
    Failing {
        /// Why.
        error: Arc<TaskError>,
    },
    /// The run's own steps are over: those of its `on_error`, `on_cancel` or `finally` begin.
    TailOpened {
        /// Which.
        scope: ScopeId,
    },
    /// Nothing begins any more.
    Paused {
        /// When.
        at: Timestamp,
    },
    /// It goes on.
    Resumed {
        /// When.
        at: Timestamp,
    },
    /// It does nothing but wait: its time stands still.
    ClockPaused {
        /// When.
        at: Timestamp,
    },
    /// It works again.
    ClockResumed {
        /// When.
        at: Timestamp,
    },
    /// A signal came that no step waits for yet.
    SignalKept {
        /// Its name.
        name: Name,
    },
    /// A step took a signal that had been kept.
    SignalTaken {
        /// Its name.
        name: Name,
    },
    /// Its end starts, or should start, a run of another workflow.
    Triggered {
        /// The workflow.
        workflow: Name,
        /// The run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Why there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Arc<str>>,
    },
    /// Somebody wants it to end.
    CancelRequested {
        /// By whom or why.
        reason: Arc<str>,
    },
    /// It ended well.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Arc<TaskError>,
        /// When.
        at: Timestamp,
    },
    /// It was cancelled, and its last open task has ended.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}
