//! Commands of worker hosts.

use std::sync::Arc;

use kapelle_core::{TenantId, task};
use serde::{Deserialize, Serialize};

use super::Reported;
use crate::turn::ClaimFilter;

/// End of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Report {
    /// Tenant of the task. For any other tenant the lease is lost.
    pub tenant: TenantId,
    pub report: task::Report,
    pub reported: Reported,
}

/// Claim of a worker host with free slots. Answered with tasks, perhaps none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Claim {
    /// Number of the host; never 0.
    pub host: u32,
    pub wanted: ClaimFilter,
    /// Maximum number of tasks.
    pub most: u32,
    /// Whether it is decided after all else of its turn, so that it gets what the other commands make ready.
    #[serde(default)]
    pub late: bool,
}

/// Eviction of worker hosts: their tasks go to others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Evict {
    pub hosts: Arc<[u32]>,
}

/// Heartbeat of a worker host. Answered for each report with whether the attempt is still wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Heartbeat {
    /// Tenant of the tasks. For any other tenant the leases are lost.
    pub tenant: TenantId,
    pub reports: Arc<[task::Report]>,
}
