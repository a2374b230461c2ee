//! Commands to schedules.

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    schedule::{FireOutcome, ScheduleSpec},
};
use serde::{Deserialize, Serialize};

use crate::turn::Key;

/// Creation of a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PutSchedule {
    pub tenant: TenantId,
    pub name: Name,
    /// Schedule, checked.
    pub spec: Arc<ScheduleSpec>,
    /// Whether it may take the place of another of that name, whose state it keeps.
    pub replace: bool,
}

/// Change of the schedules that files of workflows say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ApplyFiles {
    pub tenant: TenantId,
    /// Schedules to make or to change, each with its file.
    pub put: Vec<(Name, Arc<ScheduleSpec>)>,
    /// Schedules to delete. Those without a file stay.
    pub delete: Vec<Name>,
}

/// Pause or resumption of a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct PauseSchedule {
    pub tenant: TenantId,
    pub name: Name,
    /// Whether nothing is fired.
    pub paused: bool,
    pub reason: Arc<str>,
}

/// Deletion of a schedule. Its runs and tasks continue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct DeleteSchedule {
    pub tenant: TenantId,
    pub name: Name,
}

/// Fire of a schedule now, by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct FireSchedule {
    pub tenant: TenantId,
    pub name: Name,
    /// Idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// A fire by hand, and the time of its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Fired {
    pub scheduled: Timestamp,
    pub at: Timestamp,
    pub outcome: FireOutcome,
}

/// Fire of the past times of a schedule that were not started.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Backfill {
    pub tenant: TenantId,
    pub name: Name,
    pub from: Timestamp,
    /// Last time, included.
    pub to: Timestamp,
}
