//! The reading side.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    run::{ScopeId, Slot},
    task::{Attempt, StateKind, Task, TaskState},
};

use super::state::State;
use crate::{
    access::AccessKey,
    audit::AuditRow,
    batch::{Gate, JournalEntry, PayloadBody, VersionRow},
    contract::{Lane, Reader},
    error::StoreError,
    hosted::{ArtifactRow, GivenRow, HostWorkerRow},
    memo::MemoRow,
    rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter},
    session::SessionRow,
};

/// A reader of a state in memory.
#[derive(Debug, Clone)]
pub struct MemReader {
    state: Arc<Mutex<State>>,
}

/// Limit of rows on one page.
const PAGE_MOST: u32 = 1_000;

impl MemReader {
    pub(super) fn new(state: Arc<Mutex<State>>) -> MemReader {
        MemReader { state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(task: &Task, filter: &TaskFilter) -> bool {
    filter.state.is_none_or(|state| task.state.kind() == state)
        && filter.queue.as_ref().is_none_or(|queue| task.queue == *queue)
        && filter.worker.as_ref().is_none_or(|worker| task.worker == *worker)
        && (filter.steps || filter.run.is_some() || task.origin.is_none())
        && filter.run.is_none_or(|run| task.origin.as_ref().is_some_and(|origin| origin.run == run))
        && filter.since.is_none_or(|since| task.created_at >= since)
        && filter.until.is_none_or(|until| task.created_at < until)
        && (!filter.dead || matches!(task.state, TaskState::Failed { dead: true, .. }))
}

fn most(page: Page) -> usize {
    page.most.min(PAGE_MOST) as usize
}

impl Reader for MemReader {
    fn task(&self, tenant: TenantId, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.state().tasks.get(&id).filter(|task| task.tenant == tenant).cloned())
    }

    fn payload(&self, id: PayloadId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.state().payloads.get(&id) {
            None => Ok(None),
            Some(PayloadBody::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
            Some(PayloadBody::File { sha256, .. }) => {
                Err(StoreError::Io { path: sha256.into(), message: "a store in memory has no files".to_owned() })
            }
        }
    }

    fn attempts(&self, id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.state().attempts.range((id, 0)..=(id, u32::MAX)).map(|(_, attempt)| attempt.clone()).collect())
    }

    fn tasks(&self, tenant: TenantId, filter: &TaskFilter, page: Page) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let before = TaskId(page.before.unwrap_or(i64::MAX));
        let tasks = state.tasks.range(..before).rev().map(|(_, task)| task);
        Ok(tasks.filter(|task| task.tenant == tenant && wanted(task, filter)).take(most(page)).cloned().collect())
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.state().runs.get(&id).filter(|run| run.tenant == tenant).cloned())
    }

    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<RunRow>, StoreError> {
        let state = self.state();
        let before = RunId(page.before.unwrap_or(i64::MAX));
        let runs = state.runs.range(..before).rev().map(|(_, run)| run).filter(|run| run.tenant == tenant);
        let runs = runs.filter(|run| filter.workflow.as_ref().is_none_or(|workflow| run.workflow == *workflow));
        let runs = runs.filter(|run| !filter.open || !run.status.kind().is_terminal());
        let runs = runs.filter(|run| filter.states.is_empty() || filter.states.contains(&run.status.kind()));
        let runs = runs.filter(|run| filter.since.is_none_or(|since| run.created_at >= since));
        let runs = runs.filter(|run| filter.until.is_none_or(|until| run.created_at < until));
        Ok(runs.take(most(page)).cloned().collect())
    }

    fn steps(&self, run: RunId, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let behind = state.tasks.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, task)| task);
        let steps = behind.filter(|task| task.origin.as_ref().is_some_and(|origin| origin.run == run));
        Ok(steps.take(most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn scope(&self, run: RunId, scope: ScopeId, after: Option<Slot>, most: u32) -> Result<Vec<Task>, StoreError> {
        let state = self.state();
        let from = after.map_or(Bound::Included((run, scope, Slot(0))), |slot| Bound::Excluded((run, scope, slot)));
        let places = state.steps.range((from, Bound::Included((run, scope, Slot(u32::MAX)))));
        let rows = places.filter_map(|(_, id)| state.tasks.get(id).cloned());
        Ok(rows.take(most.min(PAGE_MOST) as usize).collect())
    }

    fn journal(&self, run: RunId, from: u64, most: u32) -> Result<Vec<JournalEntry>, StoreError> {
        let state = self.state();
        let entries = state.journal.range((run, from)..=(run, u64::MAX)).take(most.min(PAGE_MOST) as usize);
        let entry = |(&(run, seq), (at, event)): (&(RunId, u64), &(_, _))| JournalEntry {
            run,
            seq,
            at: *at,
            event: kapelle_core::run::RunEvent::clone(event),
        };
        Ok(entries.map(entry).collect())
    }

    fn version(&self, tenant: TenantId, id: i64) -> Result<Option<VersionRow>, StoreError> {
        Ok(self.state().versions.get(&id).filter(|row| row.tenant == tenant).cloned())
    }

    fn versions(&self, tenant: TenantId, workflow: Option<&Name>, page: Page) -> Result<Vec<VersionRow>, StoreError> {
        let state = self.state();
        let rows = state.versions.range(..page.before.unwrap_or(i64::MAX)).rev().map(|(_, row)| row);
        let rows = rows.filter(|row| row.tenant == tenant && workflow.is_none_or(|name| row.workflow == *name));
        Ok(rows.take(most(page)).cloned().collect())
    }

    fn gates(&self, tenant: TenantId) -> Result<Vec<Gate>, StoreError> {
        Ok(self.state().gates.values().filter(|gate| gate.tenant == tenant).cloned().collect())
    }

    fn access_keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        let mut keys: Vec<AccessKey> = self.state().access.values().cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    fn audit(&self, tenant: Option<TenantId>, page: Page) -> Result<Vec<AuditRow>, StoreError> {
        let state = self.state();
        let before = page.before.map_or(u64::MAX, i64::cast_unsigned);
        let rows = state.audit.range(..before).rev().map(|(_, row)| row);
        let rows = rows.filter(|row| tenant.is_none_or(|tenant| row.act.tenant == tenant));
        Ok(rows.take(most(page)).cloned().collect())
    }

    fn audit_from(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        let state = self.state();
        let rows = state.audit.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| row);
        Ok(rows.take(most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn host_workers(&self) -> Result<Vec<HostWorkerRow>, StoreError> {
        Ok(self.state().host_workers.values().cloned().collect())
    }

    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<GivenRow>, StoreError> {
        let state = self.state();
        let rows = state.given.range((task, attempt, [0; 32])..=(task, attempt, [255; 32]));
        Ok(rows.map(|(&(.., fingerprint), &count)| GivenRow { task, attempt, fingerprint, count }).collect())
    }

    fn memo(&self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError> {
        Ok(self.state().memos.get(&(tenant, Arc::from(collection), Arc::from(key))).cloned())
    }

    fn memos(
        &self,
        tenant: TenantId,
        collection: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<MemoRow>, StoreError> {
        let state = self.state();
        let after = after.unwrap_or("");
        let of = |row: &&MemoRow| row.tenant == tenant && *row.collection == *collection && *row.key > *after;
        Ok(state.memos.values().filter(of).take(most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<ArtifactRow>, StoreError> {
        Ok(self.state().artifacts.get(&(tenant, Arc::from(sha256))).cloned())
    }

    fn artifacts(&self, tenant: TenantId, after: Option<&str>, most: u32) -> Result<Vec<ArtifactRow>, StoreError> {
        let state = self.state();
        let rows = state.artifacts.values().filter(|row| row.tenant == tenant && *row.sha256 > *after.unwrap_or(""));
        Ok(rows.take(most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn session(&self, after: u64, most: u32) -> Result<Vec<SessionRow>, StoreError> {
        let state = self.state();
        let rows = state.session.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, row)| row);
        Ok(rows.take(most.min(PAGE_MOST) as usize).cloned().collect())
    }

    fn task_of_any(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.state().tasks.get(&id).cloned())
    }

    fn open_run_count(&self) -> Result<u64, StoreError> {
        Ok(self.state().open_runs.len() as u64)
    }

    fn busy_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let state = self.state();
        let open = state.tasks.values().filter(|task| !task.state.kind().is_terminal());
        Ok(open.map(|task| task.tenant).collect::<std::collections::BTreeSet<_>>().into_iter().collect())
    }

    fn open_tasks(&self, tenant: TenantId) -> Result<Vec<LaneCount>, StoreError> {
        let state = self.state();
        let mut counts: BTreeMap<(Lane, StateKind), (u64, Timestamp)> = BTreeMap::new();
        for task in state.tasks.values().filter(|task| task.tenant == tenant && !task.state.kind().is_terminal()) {
            // The oldest has the lowest id, and comes first.
            counts.entry((Lane::of(task), task.state.kind())).or_insert((0, task.created_at)).0 += 1;
        }
        let count = |((lane, state), (tasks, oldest))| {
            let Lane { queue, worker, requires, .. } = lane;
            LaneCount { queue, worker, requires, state, tasks, oldest }
        };
        Ok(counts.into_iter().map(count).collect())
    }
}
