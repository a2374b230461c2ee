//! Schedules, and what became of their times.

use std::collections::BTreeMap;

use kapelle_core::{Name, TenantId, Timestamp, schedule::FireKind};

use super::{reader::MemReader, store::MemStore};
use crate::{
    batch::Batch,
    contract::Conflicts,
    error::StoreError,
    schedule::{FIRES_KEPT, FireRow, ScheduleReader, ScheduleRow, ScheduleStore},
};

/// Rows of schedules.
#[derive(Debug, Default)]
pub(super) struct ScheduleRows {
    schedules: BTreeMap<(TenantId, Name), ScheduleRow>,
    fires: BTreeMap<(TenantId, Name, Timestamp, FireKind), FireRow>,
}

impl ScheduleRows {
    /// Looks for rows that have changed since they were read.
    pub(super) fn check(&self, batch: &Batch<'_>, conflicts: &mut Conflicts) {
        for write in &batch.schedules {
            conflicts.other |= self.schedules.get(&write.key).map(|row| row.revision) != write.expected;
        }
        let started = |row: &FireRow| self.fires.get(&key(row)).is_some_and(|known| known.outcome.started().is_some());
        conflicts.other |= batch.fires.iter().any(started);
    }

    pub(super) fn apply(&mut self, batch: &Batch<'_>) {
        for write in &batch.schedules {
            match &write.row {
                Some(row) => drop(self.schedules.insert(write.key.clone(), row.clone())),
                None => {
                    self.schedules.remove(&write.key);
                    self.fires.retain(|(tenant, name, ..), _| (*tenant, name) != (write.key.0, &write.key.1));
                }
            }
        }
        for row in &batch.fires {
            self.fires.insert(key(row), row.clone());
            let of = |(tenant, name, ..): &&(TenantId, Name, Timestamp, FireKind)| {
                (*tenant, name) == (row.tenant, &row.schedule)
            };
            let surplus = self.fires.keys().filter(of).count().saturating_sub(FIRES_KEPT);
            let oldest: Vec<_> = self.fires.keys().filter(of).take(surplus).cloned().collect();
            oldest.iter().for_each(|key| drop(self.fires.remove(key)));
        }
    }
}

fn key(row: &FireRow) -> (TenantId, Name, Timestamp, FireKind) {
    (row.tenant, row.schedule.clone(), row.scheduled, row.kind)
}

impl ScheduleStore for MemStore {
    fn schedule(&mut self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError> {
        Ok(self.state().schedules.schedules.get(&(tenant, name.clone())).cloned())
    }

    fn due_schedules(&mut self, now: Timestamp, most: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        let state = self.state();
        let due = |row: &&ScheduleRow| row.due_at.is_some_and(|at| at <= now);
        let mut found: Vec<ScheduleRow> = state.schedules.schedules.values().filter(due).cloned().collect();
        found.sort_by_key(|row| row.due_at);
        found.truncate(most as usize);
        Ok(found)
    }

    fn next_schedule(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().schedules.schedules.values().filter_map(|row| row.due_at).min())
    }

    fn waiting_schedules(&mut self) -> Result<Vec<ScheduleRow>, StoreError> {
        let waits = |row: &&ScheduleRow| !row.state.queued.is_empty();
        Ok(self.state().schedules.schedules.values().filter(waits).cloned().collect())
    }

    fn fire(
        &mut self,
        tenant: TenantId,
        schedule: &Name,
        scheduled: Timestamp,
        kind: FireKind,
    ) -> Result<Option<FireRow>, StoreError> {
        Ok(self.state().schedules.fires.get(&(tenant, schedule.clone(), scheduled, kind)).cloned())
    }
}

impl ScheduleReader for MemReader {
    fn schedule(&self, tenant: TenantId, name: &Name) -> Result<Option<ScheduleRow>, StoreError> {
        Ok(self.state().schedules.schedules.get(&(tenant, name.clone())).cloned())
    }

    fn schedules(&self, tenant: TenantId, after: Option<&Name>, most: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        let state = self.state();
        let behind = |row: &&ScheduleRow| row.tenant == tenant && after.is_none_or(|after| row.name > *after);
        Ok(state.schedules.schedules.values().filter(behind).take(most.min(1_000) as usize).cloned().collect())
    }

    fn fires(&self, tenant: TenantId, schedule: &Name, most: u32) -> Result<Vec<FireRow>, StoreError> {
        let state = self.state();
        let of = |row: &&FireRow| row.tenant == tenant && row.schedule == *schedule;
        Ok(state.schedules.fires.values().rev().filter(of).take(most.min(1_000) as usize).cloned().collect())
    }
}
