//! The disk as a store.

use std::{collections::BTreeSet, sync::Arc};

use kapelle_core::{
    Account, CallId, Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{ScopeId, Slot, StepRow},
    schedule::FireKind,
    task::{HoldReason, Rank, Task, TaskState},
};
use kapelle_store::{
    AccountRow, AuditHead, Batch, BudgetRow, CallRow, Commit, Deletion, DeliveryRow, FireRow, Gate, HeldPlace,
    HostWorkerRow, IdKind, KeyRow, Lane, LedgerStore, MemoRow, PayloadBody, PrepaidRow, Retention, RunRow, ScheduleRow,
    ScheduleStore, Store, StoreError, SubscriptionRow, SubscriptionStore, VersionRow,
};

use crate::disk::{Shared, lane_of};

impl Store for Shared {
    fn ids(&mut self, kind: IdKind, n: u32) -> Result<i64, StoreError> {
        let next = &mut self.lock().next[kind as usize];
        let first = *next + 1;
        *next += i64::from(n);
        Ok(first)
    }

    fn task(&mut self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.lock().task(id).cloned())
    }

    fn run(&mut self, id: RunId) -> Result<Option<(RunRow, Vec<StepRow>)>, StoreError> {
        let disk = self.lock();
        let Some(shelf) = disk.runs.get(&id) else { return Ok(None) };
        Ok(Some((shelf.row.clone(), disk.rows(shelf))))
    }

    fn version(&mut self, id: i64) -> Result<Option<VersionRow>, StoreError> {
        Ok(self.lock().versions.iter().find(|row| row.id == id).cloned())
    }

    fn newest_version(&mut self, tenant: TenantId, workflow: &Name) -> Result<Option<VersionRow>, StoreError> {
        let disk = self.lock();
        let rows = disk.versions.iter().filter(|row| row.tenant == tenant && row.workflow == *workflow);
        Ok(rows.max_by_key(|row| row.number).cloned())
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, StoreError> {
        // The simulation has no administrators.
        Ok(None)
    }

    fn memo(&mut self, _: TenantId, _: &str, _: &str) -> Result<Option<MemoRow>, StoreError> {
        // The simulation has no workers that keep memos.
        Ok(None)
    }

    fn host_workers(&mut self) -> Result<Vec<HostWorkerRow>, StoreError> {
        // Hosts register nothing in the simulation.
        Ok(Vec::new())
    }

    fn session_last(&mut self) -> Result<u64, StoreError> {
        // The simulation has no session log.
        Ok(0)
    }

    fn deletable(&mut self, _: TenantId, _: &Name, _: u32) -> Result<Result<i64, Deletion>, StoreError> {
        // The simulation deletes no versions.
        Ok(Err(Deletion::Missing))
    }

    fn held_in(&mut self, reason: HoldReason, place: HeldPlace<'_>, most: u32) -> Result<Vec<Task>, StoreError> {
        let mut held = self.held(reason, place.key, u32::MAX)?;
        held.retain(|task| {
            place.queue.is_none_or(|queue| task.queue == *queue)
                && place.worker.is_none_or(|worker| task.worker == *worker)
        });
        held.truncate(most as usize);
        Ok(held)
    }

    fn held_lanes(&mut self, reason: HoldReason) -> Result<Vec<(Lane, Option<Name>)>, StoreError> {
        let held = self.held(reason, None, u32::MAX)?;
        let lanes: BTreeSet<_> = held.iter().map(|task| (lane_of(task), task.key.clone())).collect();
        Ok(lanes.into_iter().collect())
    }

    fn gates(&mut self) -> Result<Vec<Gate>, StoreError> {
        Ok(self.lock().gates.clone())
    }

    fn answer(&mut self, tenant: TenantId, key: CacheKey, now: Timestamp) -> Result<Option<TaskId>, StoreError> {
        Ok(self.lock().answers.get(&(tenant, key)).filter(|row| row.until >= now).map(|row| row.task))
    }

    fn key(&mut self, tenant: TenantId, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError> {
        let disk = self.lock();
        Ok(disk.keys.get(&(tenant, Arc::from(key))).filter(|row| row.until >= now).cloned())
    }

    fn lanes(&mut self) -> Result<Vec<Lane>, StoreError> {
        let disk = self.lock();
        Ok(disk.ready.iter().filter(|(_, places)| !places.is_empty()).map(|(lane, _)| lane.clone()).collect())
    }

    fn ready(&mut self, lane: &Lane, after: Option<(Rank, TaskId)>, most: u32) -> Result<Vec<Task>, StoreError> {
        let disk = self.lock();
        let Some(places) = disk.ready.get(lane) else { return Ok(Vec::new()) };
        let behind = places
            .range((after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded), std::ops::Bound::Unbounded));
        Ok(behind.take(most as usize).filter_map(|(_, id)| disk.task(*id).cloned()).collect())
    }

    fn held(&mut self, reason: HoldReason, key: Option<&Name>, most: u32) -> Result<Vec<Task>, StoreError> {
        let disk = self.lock();
        let held = disk.tasks.iter().flatten().filter_map(|task| match task.state {
            TaskState::Held { reason: other, rank } if other == reason => Some((rank, task)),
            _ => None,
        });
        let mut held: Vec<_> = held.filter(|(_, task)| key.is_none() || task.key.as_ref() == key).collect();
        held.sort_unstable_by_key(|(rank, task)| (*rank, task.id));
        Ok(held.into_iter().take(most as usize).map(|(_, task)| task.clone()).collect())
    }

    fn held_steps(&mut self, run: RunId, most: u32) -> Result<Vec<Task>, StoreError> {
        let disk = self.lock();
        let Some(shelf) = disk.runs.get(&run) else { return Ok(Vec::new()) };
        let tasks: BTreeSet<TaskId> = shelf.steps.values().copied().collect();
        let held = |task: &&Task| matches!(task.state, TaskState::Held { reason: HoldReason::RunPaused, .. });
        Ok(tasks.iter().filter_map(|id| disk.task(*id)).filter(held).take(most as usize).cloned().collect())
    }

    fn step(&mut self, run: RunId, scope: ScopeId, slot: Slot) -> Result<Option<Task>, StoreError> {
        let disk = self.lock();
        let task = disk.runs.get(&run).and_then(|shelf| shelf.steps.get(&(scope, slot)));
        Ok(task.and_then(|task| disk.task(*task)).cloned())
    }

    fn payload(&mut self, id: PayloadId) -> Result<Option<PayloadBody>, StoreError> {
        Ok(self.lock().payload(id).map(|bytes| PayloadBody::Bytes(Arc::clone(bytes))))
    }

    fn due(&mut self, now: Timestamp, most: u32) -> Result<Vec<TaskId>, StoreError> {
        let disk = self.lock();
        Ok(disk.due.iter().take_while(|(at, _)| *at <= now).take(most as usize).map(|(_, id)| *id).collect())
    }

    fn due_runs(&mut self, now: Timestamp, most: u32) -> Result<Vec<RunId>, StoreError> {
        let disk = self.lock();
        let due: BTreeSet<(Timestamp, RunId)> = disk.run_dues().filter(|(at, _)| *at <= now).collect();
        Ok(due.into_iter().take(most as usize).map(|(_, id)| id).collect())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let disk = self.lock();
        Ok(disk.due.first().map(|(at, _)| *at).into_iter().chain(disk.run_dues().map(|(at, _)| at)).min())
    }

    fn running(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        let disk = self.lock();
        let ids = disk.running.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        Ok(ids.take(most as usize).filter_map(|id| disk.task(*id).cloned()).collect())
    }

    fn open_runs(&mut self, after: RunId, most: u32) -> Result<Vec<RunId>, StoreError> {
        let disk = self.lock();
        let ids = disk.open_runs.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        Ok(ids.take(most as usize).copied().collect())
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        self.lock().commit(batch)
    }

    fn has_expired(&mut self, _retention: Retention) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// The simulated loops make no model calls, so their ledger stays empty.
impl LedgerStore for Shared {
    fn open_calls(&mut self, _after: CallId, _most: u32) -> Result<Vec<CallRow>, StoreError> {
        Ok(Vec::new())
    }

    fn prepaid(&mut self, _after: CallId, _most: u32) -> Result<Vec<PrepaidRow>, StoreError> {
        Ok(Vec::new())
    }

    fn account(&mut self, _tenant: TenantId, _account: &Account, _day: i64) -> Result<Option<AccountRow>, StoreError> {
        Ok(None)
    }

    fn budget(&mut self, _tenant: TenantId, _account: &Account) -> Result<Option<BudgetRow>, StoreError> {
        Ok(None)
    }

    fn parked(&mut self, _after: TaskId, _most: u32) -> Result<Vec<Task>, StoreError> {
        Ok(Vec::new())
    }
}

/// The simulated loops have no schedules; `crates/engine/tests/schedules.rs` fires some under conflicts and crashes.
impl ScheduleStore for Shared {
    fn schedule(&mut self, _tenant: TenantId, _name: &Name) -> Result<Option<ScheduleRow>, StoreError> {
        Ok(None)
    }

    fn due_schedules(&mut self, _now: Timestamp, _most: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        Ok(Vec::new())
    }

    fn next_schedule(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn waiting_schedules(&mut self) -> Result<Vec<ScheduleRow>, StoreError> {
        Ok(Vec::new())
    }

    fn fire(
        &mut self,
        _tenant: TenantId,
        _schedule: &Name,
        _scheduled: Timestamp,
        _kind: FireKind,
    ) -> Result<Option<FireRow>, StoreError> {
        Ok(None)
    }
}

/// The simulated loops have no subscriptions; `crates/engine/tests/subscriptions.rs` has some under conflicts.
impl SubscriptionStore for Shared {
    fn subscriptions(&mut self) -> Result<Vec<SubscriptionRow>, StoreError> {
        Ok(Vec::new())
    }

    fn delivery(&mut self, _id: i64) -> Result<Option<DeliveryRow>, StoreError> {
        Ok(None)
    }
}
