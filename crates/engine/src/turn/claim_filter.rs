//! Filter of a worker host, and its claimed tasks.

use std::sync::Arc;

use kapelle_core::{DurationMs, Labels, Name, RunId, TaskId, TenantId, task::Lease};
use kapelle_store::Lane;
use serde::{Deserialize, Serialize};

/// Tasks that a worker host accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ClaimFilter {
    pub tenant: TenantId,
    /// Workers it serves.
    pub workers: Arc<[Name]>,
    /// Queues it serves; empty means any.
    pub queues: Arc<[Name]>,
    pub labels: Arc<Labels>,
    /// Whether tasks for workers of the server's own process are left out. Decided at each claim: such a worker may be
    /// added while a host waits.
    #[serde(default)]
    pub foreign: bool,
}

impl ClaimFilter {
    /// Makes a filter for all tasks of some workers, by a host without labels.
    #[must_use]
    pub fn new(tenant: TenantId, workers: Arc<[Name]>) -> ClaimFilter {
        ClaimFilter { tenant, workers, queues: Arc::from([]), labels: Arc::default(), foreign: false }
    }

    /// Tells whether it accepts the tasks of a lane.
    #[must_use]
    pub fn includes(&self, lane: &Lane) -> bool {
        lane.tenant == self.tenant
            && self.workers.contains(&lane.worker)
            && (self.queues.is_empty() || self.queues.contains(&lane.queue))
            && lane.requires.is_met_by(&self.labels)
    }
}

/// A task claimed by a worker host.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ClaimedTask {
    pub id: TaskId,
    pub tenant: TenantId,
    pub worker: Name,
    pub input: kapelle_core::Payload,
    pub lease: Lease,
    pub timeout: DurationMs,
    /// Whether no further attempt follows a failure.
    pub last_attempt: bool,
    pub recorded: bool,
    /// Run and path of the step, if it is one.
    pub step: Option<(RunId, String)>,
}
