//! The writing side.

use std::{
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    Name, PayloadId, Requires, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{ScopeId, Slot, StepRow},
    task::{HoldReason, Rank, Task, TaskState},
};

use super::{
    fault::{Fault, Plan},
    reader::MemReader,
    state::State,
};
use crate::{
    audit::AuditHead,
    batch::{Batch, Gate, KeyRow, PayloadBody, VersionRow},
    contract::{Commit, Deletion, HeldPlace, IdKind, Lane, Retention, Store},
    error::StoreError,
    hosted::HostWorkerRow,
    memo::MemoRow,
    rows::RunRow,
};

/// A handle on a state in memory. Handles from [`MemStore::share`] write to one state, with revisions as the only fence
/// between them.
#[derive(Default)]
pub struct MemStore {
    state: Arc<Mutex<State>>,
    plan: Option<Plan>,
    commits: u64,
}

impl fmt::Debug for MemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemStore").field("commits", &self.commits).finish_non_exhaustive()
    }
}

impl MemStore {
    /// Makes an empty state and the first handle on it.
    #[must_use]
    pub fn new() -> MemStore {
        MemStore::default()
    }

    /// Makes another handle on this state, without planned faults.
    #[must_use]
    pub fn share(&self) -> MemStore {
        MemStore { state: Arc::clone(&self.state), plan: None, commits: 0 }
    }

    /// Sets a plan of faults. It is called at each commit with its number on this handle, from 0 on.
    #[must_use]
    pub fn with_faults(mut self, plan: impl FnMut(u64) -> Fault + Send + 'static) -> MemStore {
        self.plan = Some(Box::new(plan));
        self
    }

    /// Makes a reader of this state.
    #[must_use]
    pub fn reader(&self) -> MemReader {
        MemReader::new(Arc::clone(&self.state))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cloned<'a>(state: &'a State, ids: impl Iterator<Item = &'a TaskId>, most: u32) -> Vec<Task> {
    ids.filter_map(|id| state.tasks.get(id)).take(most as usize).cloned().collect()
}

/// Returns the lane of a held task without its required labels, which do not matter for holds.
fn place(task: &Task) -> Lane {
    Lane { requires: Requires::default(), ..Lane::of(task) }
}

/// Builds the conflict of a batch in which everything has changed meanwhile.
fn total_conflict(batch: &Batch<'_>) -> Commit {
    Commit::Conflict {
        tasks: batch.tasks.iter().map(|write| write.task.id).collect(),
        runs: batch.runs.iter().map(|write| write.run.id).collect(),
        other: !batch.keys.is_empty()
            || !batch.versions.is_empty()
            || !batch.audit.is_empty()
            || !batch.schedules.is_empty()
            || !batch.fires.is_empty()
            || !batch.subscriptions.is_empty()
            || !batch.deliveries.is_empty()
            || batch.session.is_some(),
    }
}

impl Store for MemStore {
    fn ids(&mut self, kind: IdKind, n: u32) -> Result<i64, StoreError> {
        let mut state = self.state();
        let next = &mut state.next[kind as usize];
        let first = *next;
        *next += i64::from(n);
        Ok(first)
    }

    fn task(&mut self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.state().tasks.get(&id).cloned())
    }

    fn run(&mut self, id: RunId) -> Result<Option<(RunRow, Vec<StepRow>)>, StoreError> {
        let state = self.state();
        let Some(row) = state.runs.get(&id).cloned() else { return Ok(None) };
        let from = (id, kapelle_core::run::ScopeId(i64::MIN), kapelle_core::run::Slot(0));
        let steps = state.steps.range(from..).take_while(|(place, _)| place.0 == id);
        let steps = steps.filter_map(|(&(_, scope, slot), task)| {
            let wait = &state.tasks.get(task)?.state;
            let (opened, signal) = crate::rows::waited(match wait {
                TaskState::Waiting(wait) => Some(wait),
                _ => None,
            });
            Some(StepRow { scope, slot, task: *task, state: wait.kind(), opened, signal })
        });
        Ok(Some((row, steps.collect())))
    }

    fn version(&mut self, id: i64) -> Result<Option<VersionRow>, StoreError> {
        Ok(self.state().versions.get(&id).cloned())
    }

    fn newest_version(&mut self, tenant: TenantId, workflow: &Name) -> Result<Option<VersionRow>, StoreError> {
        let state = self.state();
        let of = state.versions.values().filter(|row| row.tenant == tenant && row.workflow == *workflow);
        Ok(of.max_by_key(|row| row.number).cloned())
    }

    fn deletable(
        &mut self,
        tenant: TenantId,
        workflow: &Name,
        number: u32,
    ) -> Result<Result<i64, Deletion>, StoreError> {
        let state = self.state();
        let of = state.versions.values().filter(|row| row.tenant == tenant && row.workflow == *workflow);
        let newest = of.clone().map(|row| row.number).max();
        let Some(id) = of.clone().find(|row| row.number == number).map(|row| row.id) else {
            return Ok(Err(Deletion::Missing));
        };
        if newest == Some(number) {
            return Ok(Err(Deletion::Newest));
        }
        let used = state.runs.values().filter(|run| run.version == id).count() as u64;
        if used > 0 {
            return Ok(Err(Deletion::Used(used)));
        }
        Ok(Ok(id))
    }

    fn key(&mut self, tenant: TenantId, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError> {
        let id = (tenant, Arc::from(key));
        Ok(self.state().keys.get(&id).filter(|row| row.until >= now).cloned())
    }

    fn lanes(&mut self) -> Result<Vec<Lane>, StoreError> {
        Ok(self.state().ready.keys().cloned().collect())
    }

    fn ready(&mut self, lane: &Lane, after: Option<(Rank, TaskId)>, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let Some(ready) = state.ready.get(lane) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(cloned(&state, ready.range((from, Bound::Unbounded)).map(|(_, id)| id), most))
    }

    fn held(&mut self, reason: HoldReason, key: Option<&Name>, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let number = reason as u8;
        let held = state.held.range((number, Rank::MIN, TaskId(i64::MIN))..=(number, Rank::MAX, TaskId(i64::MAX)));
        let tasks = held.filter_map(|(_, _, id)| state.tasks.get(id));
        let wanted = tasks.filter(|task| key.is_none_or(|key| task.key.as_ref() == Some(key)));
        Ok(wanted.take(most as usize).cloned().collect())
    }

    fn held_steps(&mut self, run: RunId, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let held = |task: &&Task| {
            matches!(task.state, TaskState::Held { reason: HoldReason::RunPaused, .. })
                && task.origin.as_ref().is_some_and(|origin| origin.run == run)
        };
        let mut held: Vec<Task> = state.tasks.values().filter(held).cloned().collect();
        held.sort_unstable_by_key(|task| task.id);
        held.truncate(most as usize);
        Ok(held)
    }

    fn held_in(&mut self, reason: HoldReason, place: HeldPlace<'_>, most: u32) -> Result<Vec<Task>, StoreError> {
        let mut held = self.held(reason, place.key, u32::MAX)?;
        held.retain(|task| {
            task.tenant == place.tenant
                && place.queue.is_none_or(|queue| task.queue == *queue)
                && place.worker.is_none_or(|worker| task.worker == *worker)
        });
        held.truncate(most as usize);
        Ok(held)
    }

    fn step(&mut self, run: RunId, scope: ScopeId, slot: Slot) -> Result<Option<Task>, StoreError> {
        let state = self.state();
        Ok(state.steps.get(&(run, scope, slot)).and_then(|id| state.tasks.get(id)).cloned())
    }

    fn payload(&mut self, id: PayloadId) -> Result<Option<PayloadBody>, StoreError> {
        Ok(self.state().payloads.get(&id).cloned())
    }

    fn held_lanes(&mut self, reason: HoldReason) -> Result<Vec<(Lane, Option<Name>)>, StoreError> {
        let held = self.held(reason, None, u32::MAX)?;
        let lanes: std::collections::BTreeSet<_> = held.iter().map(|task| (place(task), task.key.clone())).collect();
        Ok(lanes.into_iter().collect())
    }

    fn memo(&mut self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError> {
        Ok(self.state().memos.get(&(tenant, Arc::from(collection), Arc::from(key))).cloned())
    }

    fn gates(&mut self) -> Result<Vec<Gate>, StoreError> {
        Ok(self.state().gates.values().cloned().collect())
    }

    fn answer(&mut self, tenant: TenantId, key: CacheKey, now: Timestamp) -> Result<Option<TaskId>, StoreError> {
        Ok(self.state().answers.get(&(tenant, key)).filter(|row| row.until >= now).map(|row| row.task))
    }

    fn due(&mut self, now: Timestamp, most: u32) -> Result<Vec<TaskId>, StoreError> {
        let state = self.state();
        Ok(state.due.range(..=(now, TaskId(i64::MAX))).take(most as usize).map(|(_, id)| *id).collect())
    }

    fn due_runs(&mut self, now: Timestamp, most: u32) -> Result<Vec<RunId>, StoreError> {
        let state = self.state();
        let mut due: Vec<(Timestamp, RunId)> = state.run_dues().filter(|(at, _)| *at <= now).collect();
        due.sort_unstable();
        Ok(due.into_iter().take(most as usize).map(|(_, id)| id).collect())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let state = self.state();
        let runs = state.run_dues().map(|(at, _)| at);
        Ok(state.due.first().map(|(at, _)| *at).into_iter().chain(runs).min())
    }

    fn running(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let behind = state.running.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(cloned(&state, behind, most))
    }

    fn open_runs(&mut self, after: RunId, most: u32) -> Result<Vec<RunId>, StoreError> {
        let state = self.state();
        let behind = state.open_runs.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(behind.take(most as usize).copied().collect())
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, StoreError> {
        Ok(self.state().audit.last_key_value().map(|(_, row)| row.head()))
    }

    fn host_workers(&mut self) -> Result<Vec<HostWorkerRow>, StoreError> {
        Ok(self.state().host_workers.values().cloned().collect())
    }

    fn session_last(&mut self) -> Result<u64, StoreError> {
        Ok(self.state().session.keys().next_back().copied().unwrap_or(0))
    }

    fn has_expired(&mut self, retention: Retention) -> Result<bool, StoreError> {
        Ok(self.state().has_expired(retention))
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        batch.check()?;
        let number = self.commits;
        self.commits += 1;
        let fault = self.plan.as_mut().map_or(Fault::None, |plan| plan(number));
        let failed = |what: &str| Err(StoreError::Database(format!("a planned fault of commit {number}: {what}")));
        match fault {
            Fault::None => self.state().commit(batch),
            Fault::Conflict => Ok(total_conflict(batch)),
            Fault::Fail => failed("not written"),
            Fault::Full => Err(StoreError::Full("memory".into())),
            Fault::ExecuteAndFail => match self.state().commit(batch)? {
                Commit::Committed => failed("written, and the answer lost"),
                conflict => Ok(conflict),
            },
        }
    }
}
