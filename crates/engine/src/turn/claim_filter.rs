//! What a worker host takes, and what it is given.

use std::sync::Arc;

use kapelle_core::{DurationMs, Labels, Name, RunId, TaskId, TenantId, task::Lease};
use kapelle_store::Lane;
use serde::{Deserialize, Serialize};

/// The tasks that a worker host takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ClaimFilter {
    pub tenant: TenantId,
    /// The workers it serves.
    pub workers: Arc<[Name]>,
    /// The queues it serves; empty means any.
    pub queues: Arc<[Name]>,
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
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ClaimedTask {
    pub id: TaskId,
    pub tenant: TenantId,
    pub worker: Name,
    pub input: kapelle_core::Payload,
    pub lease: Lease,
    pub timeout: DurationMs,
    /// No further attempt follows should this one fail.
    pub last_attempt: bool,
    pub recorded: bool,
    /// The run and the path of the step, when it is one.
    pub step: Option<(RunId, String)>,
}
