//! Commands of worker hosts.

use std::sync::Arc;

use kapelle_core::{TenantId, task};
use serde::{Deserialize, Serialize};

use super::Reported;
use crate::turn::ClaimFilter;

/// An attempt has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Whose task it is. To any other tenant the lease is lost.
    pub tenant: TenantId,
    /// The lease.
    pub report: task::Report,
    /// How.
    pub reported: Reported,
}

/// A worker host has slots. Answered with tasks, perhaps none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claim {
    /// Who it is; never 0.
    pub host: u32,
    /// What it takes.
    pub wanted: ClaimFilter,
    /// How many tasks at most.
    pub most: u32,
}

/// Worker hosts may work no more: their tasks go to others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evict {
    /// Which.
    pub hosts: Arc<[u32]>,
}

/// A worker host is alive. Answered for each report with whether the attempt is still wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Whose tasks they are. To any other tenant the leases are lost.
    pub tenant: TenantId,
    /// The attempts it works on.
    pub reports: Arc<[task::Report]>,
}
