//! Rows of the steps of a run, reduced to what shows its progress.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId, TenantId,
    run::{ScopeId, Slot},
    task::{Rank, StateKind, Task},
};

use crate::{contract::Lane, error::StoreError};

/// State of a step's row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StepProgress {
    pub scope: ScopeId,
    pub slot: Slot,
    pub task: TaskId,
    pub state: StateKind,
    /// Path as people write it.
    pub path: Arc<str>,
}

/// Numbers of a run's steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepTotals {
    /// Rows by state.
    pub states: Vec<(StateKind, u64)>,
    /// Rows whose answer is degraded.
    pub degraded: u64,
    /// Whether there are more rows than were counted.
    pub more: bool,
}

/// Numbers of a tenant's runs and tasks that people look after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Attention {
    pub open_runs: u64,
    pub paused_runs: u64,
    /// Tasks outside of runs that failed.
    pub dead: u64,
    /// Steps that wait for a person.
    pub approvals: u64,
}

/// Tasks whose replayed calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replays {
    /// One task.
    Task(TaskId),
    /// The first tasks of a run, at most that many.
    Run(RunId, u32),
}

/// The progress of runs and tasks for readers.
pub trait ProgressReader {
    /// Returns the rows of a run's steps, by scope and slot; of one scope if it is named.
    fn step_progress(&self, run: RunId, scope: Option<ScopeId>) -> Result<Vec<StepProgress>, StoreError>;

    /// Returns the step at a path of a run; the newest if there were several.
    fn step_at(&self, run: RunId, path: &str) -> Result<Option<Task>, StoreError>;

    /// Counts the steps of a run, the first `most` of them by scope and slot.
    fn step_totals(&self, run: RunId, most: u32) -> Result<StepTotals, StoreError>;

    /// Counts the calls of tasks that an earlier attempt or another task had paid for. They were answered from
    /// elsewhere, or their answers were recorded in the newest replay epoch before the last attempt began.
    fn replayed(&self, of: Replays) -> Result<u64, StoreError>;

    /// Returns the runs that a run of the tenant started, by id.
    fn children(&self, tenant: TenantId, run: RunId, most: u32) -> Result<Vec<RunId>, StoreError>;

    /// Counts what people look after; of dead letters and approvals at most `most` rows are looked at.
    fn attention(&self, tenant: TenantId, most: u32) -> Result<Attention, StoreError>;

    /// Returns succeeded tasks of a tenant, newest first. Only the newest `looked_at` tasks of all tenants are searched,
    /// or those before `before`.
    fn newest_successes(
        &self,
        tenant: TenantId,
        before: Option<TaskId>,
        looked_at: u32,
    ) -> Result<Vec<Task>, StoreError>;

    /// Counts the ready tasks of a lane before a position, at most `most`.
    fn ahead(&self, lane: &Lane, before: (Rank, TaskId), most: u32) -> Result<u32, StoreError>;
}
