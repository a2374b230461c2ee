//! What a worker host takes, and what it is given.

use std::sync::Arc;

use kapelle_core::{DurationMs, Labels, Name, RunId, TaskId, TenantId, task::Lease};
use kapelle_store::Lane;
use serde::{Deserialize, Serialize};

/// The tasks that a worker host takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimFilter {
    /// Whose tasks.
    pub tenant: TenantId,
    /// The workers it serves.
    pub workers: Arc<[Name]>,
    /// The queues it serves; empty means any.
    pub queues: Arc<[Name]>,
    /// What sets it apart.
    pub labels: Arc<Labels>,
}

impl ClaimFilter {
    /// Whether the tasks of a lane are among them.
    #[must_use]
    pub fn includes(&self, lane: &Lane) -> bool {
        lane.tenant == self.tenant
            && self.workers.contains(&lane.worker)
            && (self.queues.is_empty() || self.queues.contains(&lane.queue))
            && lane.requires.is_met_by(&self.labels)
    }
}

/// A task given to a worker host.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedTask {
    /// Which.
    pub id: TaskId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The worker.
    pub worker: Name,
    /// What the worker gets.
    pub input: kapelle_core::Payload,
    /// The lease to report with.
    pub lease: Lease,
    /// How long the attempt may take.
    pub timeout: DurationMs,
    /// No further attempt follows should this one fail.
    pub last_attempt: bool,
    /// Its calls of models are answered from the record of another run.
    pub recorded: bool,
    /// The run and the path of the step, when it is one.
    pub step: Option<(RunId, String)>,
}
