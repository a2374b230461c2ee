//! Schedules, and what became of their times.

use std::sync::Arc;

use kapelle_core::{
    Name, TenantId, Timestamp,
    schedule::{FireKind, FireOutcome, ScheduleSpec, ScheduleState},
};

use crate::error::StoreError;

/// Fires that are kept of one schedule, the newest by their planned time.
pub const FIRES_KEPT: usize = 200;

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ScheduleRow {
    pub tenant: TenantId,
    pub name: Name,
    pub spec: Arc<ScheduleSpec>,
    pub state: ScheduleState,
    /// Time at which the loop decides about it. `None` while it is paused, or when it never comes again.
    pub due_at: Option<Timestamp>,
    pub revision: u32,
}

/// A schedule to write or to delete, with its fires. The row gets `row.revision`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleWrite {
    /// Tenant and name.
    pub key: (TenantId, Name),
    /// The new row. `None` deletes it.
    pub row: Option<ScheduleRow>,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// Outcome of a time of a schedule. A time that was started once is never started again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct FireRow {
    pub tenant: TenantId,
    pub schedule: Name,
    /// Planned time; of several times the first.
    pub scheduled: Timestamp,
    pub kind: FireKind,
    /// Time of the decision.
    pub at: Timestamp,
    pub outcome: FireOutcome,
}

/// The writing side of schedules.
pub trait ScheduleStore {
    /// Returns one schedule.
    fn schedule(&mut self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError>;

    /// Returns the schedules that are due by `now`, earliest first.
    fn due_schedules(&mut self, now: Timestamp, most: u32) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Returns the next time at which a schedule is due.
    fn next_schedule(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Returns the schedules of which a fire waits for the end of an earlier one.
    fn waiting_schedules(&mut self) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Returns what became of a time.
    fn fire(
        &mut self,
        tenant: TenantId,
        schedule: &Name,
        scheduled: Timestamp,
        kind: FireKind,
    ) -> Result<Option<FireRow>, StoreError>;
}

/// The reading side of schedules.
pub trait ScheduleReader {
    /// Returns one schedule of a tenant.
    fn schedule(&self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError>;

    /// Returns schedules of a tenant by name, after `after`.
    fn schedules(&self, tenant: TenantId, after: Option<&Name>, most: u32) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Returns what became of the times of a schedule, newest planned time first.
    fn fires(&self, tenant: TenantId, schedule: &Name, most: u32) -> Result<Vec<FireRow>, StoreError>;
}
