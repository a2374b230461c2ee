//! Memory of the loop: rows as stored, and rows as changed by the current turn.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{
    Category, Name, Payload, RunId, TaskError, TaskId, TenantId, Timestamp,
    expr::Shared,
    run::{Run, ScopeId},
    task::{Attempt, Task, TaskEvent, TaskState},
};
use kapelle_store::{
    AccessWrite, AnswerRow, ArtifactRow, AuditRow, Batch, DeliveryWrite, FireRow, Gate, GivenRow, HostWorkerWrite,
    JournalEntry, KeyWrite, MemoWrite, PayloadBody, Retention, RunWrite, ScheduleWrite, SessionRow, SubscriptionWrite,
    TaskWrite, VersionRow,
};

use super::payload::NewPayload;
use crate::{
    evaluate::{BYTES_MAX, List, Resolve, Show, TaskValue},
    id_map::IdMap,
};

/// Makes a request repeatable: a repeated key with an equal body gets the first reply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key {
    /// Key chosen by the client.
    pub key: Arc<str>,
    /// SHA-256 of the request.
    pub body: [u8; 32],
}

/// A row that the turn changed.
#[derive(Debug)]
pub(super) struct Changed<T> {
    pub(super) row: T,
    /// Revision it was read with. `None` when it is new.
    pub(super) expected: Option<u32>,
}

/// Size limit of lists that are cached for their items, in bytes of JSON.
const LISTS_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Ready tasks of the windows and running tasks, as stored.
    pub(super) tasks: IdMap<TaskId, Task>,
    /// Lists of fan-outs in progress, with the length of their JSON.
    pub(super) lists: IdMap<TaskId, (Shared, usize)>,
    /// Open runs, as stored.
    pub(super) runs: IdMap<RunId, Run>,
    pub(super) changed_tasks: IdMap<TaskId, Changed<Task>>,
    pub(super) changed_runs: IdMap<RunId, Changed<Run>>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) journal: Vec<JournalEntry>,
    pub(super) payloads: Vec<(kapelle_core::PayloadId, PayloadBody)>,
    pub(super) keys: BTreeMap<(TenantId, Arc<str>), KeyWrite>,
    pub(super) versions: Vec<VersionRow>,
    /// Versions that the turn deletes, by their keys.
    pub(super) deleted_versions: Vec<i64>,
    pub(super) gates: Vec<Gate>,
    pub(super) answers: Vec<AnswerRow>,
    pub(super) access: Vec<AccessWrite>,
    pub(super) audit: Vec<AuditRow>,
    /// Bounds of expired rows to delete.
    pub(super) expired: Option<Retention>,
    pub(super) host_workers: Vec<HostWorkerWrite>,
    pub(super) given: Vec<GivenRow>,
    pub(super) artifacts: Vec<ArtifactRow>,
    pub(super) memos: Vec<MemoWrite>,
    pub(super) schedules: BTreeMap<(TenantId, Name), ScheduleWrite>,
    pub(super) fires: Vec<FireRow>,
    pub(super) subscriptions: BTreeMap<(TenantId, Name), SubscriptionWrite>,
    pub(super) deliveries: Vec<DeliveryWrite>,
    pub(super) session: Option<SessionRow>,
    pub(super) session_written: Option<u64>,
}

impl Cache {
    /// Returns the task as the turn has it, if it is in memory.
    pub(super) fn task(&self, id: TaskId) -> Option<&Task> {
        self.changed_tasks.get(&id).map(|changed| &changed.row).or_else(|| self.tasks.get(&id))
    }

    /// Returns the run as the turn has it, if it is in memory.
    pub(crate) fn run(&self, id: RunId) -> Option<&Run> {
        self.changed_runs.get(&id).map(|changed| &changed.row).or_else(|| self.runs.get(&id))
    }

    pub(super) fn insert_task(&mut self, task: Task) {
        self.changed_tasks.insert(task.id, Changed { row: task, expected: None });
    }

    pub(super) fn insert_run(&mut self, run: Run) {
        self.changed_runs.insert(run.id, Changed { row: run, expected: None });
    }

    /// Applies an event to a task in memory, and keeps the attempt that it may end.
    pub(super) fn evolve_task(&mut self, id: TaskId, event: &TaskEvent) -> Option<&Task> {
        if !self.changed_tasks.contains_key(&id) {
            let mut row = self.tasks.remove(&id)?;
            let expected = Some(row.revision);
            row.revision += 1;
            self.changed_tasks.insert(id, Changed { row, expected });
        }
        let changed = self.changed_tasks.get_mut(&id)?;
        if let Some(attempt) = changed.row.failed_attempt(event) {
            self.attempts.push(attempt);
        }
        changed.row.evolve(event);
        Some(&changed.row)
    }

    /// Returns the run for a change: its revision rises once a turn.
    pub(super) fn change_run(&mut self, id: RunId) -> Option<&mut Run> {
        if !self.changed_runs.contains_key(&id) {
            let mut row = self.runs.remove(&id)?;
            let expected = Some(row.revision);
            row.revision += 1;
            self.changed_runs.insert(id, Changed { row, expected });
        }
        self.changed_runs.get_mut(&id).map(|changed| &mut changed.row)
    }

    /// Returns the run for reading and for advancing its ready list, which is not stored.
    pub(super) fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        match self.changed_runs.get_mut(&id) {
            Some(changed) => Some(&mut changed.row),
            None => self.runs.get_mut(&id),
        }
    }

    /// Applies an event to a run and appends it to its journal.
    pub(crate) fn evolve_run(&mut self, id: RunId, event: &kapelle_core::run::RunEvent, at: Timestamp) {
        let Some(run) = self.change_run(id) else { return };
        let entry = JournalEntry { run: id, seq: run.seq, at, event: event.clone() };
        run.evolve(event);
        self.journal.push(entry);
    }

    /// Caches the list of a fan-out for its items, while there is room: otherwise they are evaluated on the pool.
    pub(super) fn keep_list(&mut self, id: TaskId, payload: &NewPayload, list: &List) {
        let NewPayload::Bytes(bytes) = payload else { return };
        let kept: usize = self.lists.values().map(|(_, bytes)| bytes).sum();
        if kept + bytes.len() <= LISTS_MAX {
            self.lists.insert(id, (list.0.clone(), bytes.len()));
        }
    }

    /// Everything the turn changed, to be written. Taken lists are not released: a batch that was not committed is
    /// forgotten as a whole.
    pub(super) fn batch(&mut self) -> Batch<'_> {
        let mut tasks: Vec<TaskWrite<'_>> = self
            .changed_tasks
            .values()
            .map(|changed| TaskWrite { task: &changed.row, expected: changed.expected })
            .collect();
        // Inserting in key order is fastest for a B-tree.
        tasks.sort_unstable_by_key(|write| write.task.id);
        let mut runs: Vec<RunWrite<'_>> = self
            .changed_runs
            .values()
            .map(|changed| RunWrite { run: &changed.row, expected: changed.expected })
            .collect();
        runs.sort_unstable_by_key(|write| write.run.id);
        Batch {
            tasks,
            attempts: std::mem::take(&mut self.attempts),
            runs,
            journal: std::mem::take(&mut self.journal),
            payloads: std::mem::take(&mut self.payloads),
            keys: std::mem::take(&mut self.keys).into_values().collect(),
            versions: std::mem::take(&mut self.versions),
            deleted_versions: std::mem::take(&mut self.deleted_versions),
            gates: std::mem::take(&mut self.gates),
            answers: std::mem::take(&mut self.answers),
            access: std::mem::take(&mut self.access),
            audit: std::mem::take(&mut self.audit),
            host_workers: std::mem::take(&mut self.host_workers),
            given: std::mem::take(&mut self.given),
            artifacts: std::mem::take(&mut self.artifacts),
            memos: std::mem::take(&mut self.memos),
            schedules: std::mem::take(&mut self.schedules).into_values().collect(),
            fires: std::mem::take(&mut self.fires),
            subscriptions: std::mem::take(&mut self.subscriptions).into_values().collect(),
            deliveries: std::mem::take(&mut self.deliveries),
            session: self.session.clone(),
            session_written: self.session_written.take(),
            ledger: kapelle_store::LedgerWrites::default(),
            expired: self.expired.take(),
        }
    }

    /// Drops everything: the store is the truth.
    pub(super) fn forget(&mut self) {
        *self = Cache::default();
    }
}

/// On the loop only small values in memory are resolved.
impl Resolve for Cache {
    fn task(&self, _tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>> {
        let task = Cache::task(self, id)?;
        match &task.state {
            TaskState::Succeeded { output, .. } => {
                Some(self.payload(output)?.map(|output| TaskValue::of(task, output)))
            }
            _ => Some(Ok(TaskValue::of(task, Shared::null()))),
        }
    }

    fn input(&self, _tenant: TenantId, id: TaskId) -> Option<Result<Shared, TaskError>> {
        if let Some((list, _)) = self.lists.get(&id) {
            return Some(Ok(list.clone()));
        }
        self.payload(&Cache::task(self, id)?.input)
    }

    fn scope(&self, _run: RunId, _scope: ScopeId, _show: &mut Show<'_>) -> Option<Result<(), TaskError>> {
        None
    }

    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>> {
        (json.len() <= BYTES_MAX).then(|| Ok(NewPayload::Bytes(Arc::from(json))))
    }

    fn admit(
        &self,
        _tenant: TenantId,
        _workflow: &Name,
        _inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>> {
        None
    }

    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>> {
        let bytes = payload.inline()?;
        Some(Shared::from_json_bytes(bytes).map_err(|error| TaskError::new(Category::Internal, error.to_string())))
    }
}
