//! The contract of a store. `Mem` and SQLite pass one conformance suite.

use std::collections::BTreeSet;

use kapelle_core::{
    Name, PayloadId, Requires, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{ScopeId, Slot, StepRow},
    task::{Attempt, HoldReason, Rank, Task},
};

use crate::{
    access::AccessKey,
    audit::{AuditHead, AuditRow},
    batch::{Batch, Gate, JournalEntry, KeyRow, PayloadBody, VersionRow},
    error::StoreError,
    hosted::{ArtifactRow, GivenRow, HostWorkerRow},
    ledger::{LedgerReader, LedgerStore},
    memo::MemoRow,
    progress::ProgressReader,
    rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter},
    schedule::{ScheduleReader, ScheduleStore},
    session::SessionRow,
    subscription::{SubscriptionReader, SubscriptionStore},
};

/// Sequences of ids. A number is never reused, even after the newest rows were deleted and after a restart; a turn that
/// fails may leave a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Tasks.
    Task,
    /// Runs.
    Run,
    /// Payload rows.
    Payload,
    /// Versions of workflows.
    Version,
    /// Model calls.
    Call,
    /// Deliveries of events.
    Delivery,
}

/// A lane of ready tasks: one for each worker in each queue of each tenant, and for each set of required labels.
/// Pausing, slots and routing choose among lanes; within one, rank decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Lane {
    pub tenant: TenantId,
    pub queue: Name,
    pub worker: Name,
    /// Labels that a host needs.
    pub requires: Requires,
}

impl Lane {
    /// Returns the lane of a task.
    #[must_use]
    pub fn of(task: &Task) -> Lane {
        Lane {
            tenant: task.tenant,
            queue: task.queue.clone(),
            worker: task.worker.clone(),
            requires: task.policy.requires.clone(),
        }
    }
}

/// Filter of held tasks. A missing field does not restrict.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct HeldPlace<'a> {
    pub tenant: TenantId,
    /// Tasks of this queue.
    pub queue: Option<&'a Name>,
    /// Tasks of this worker.
    pub worker: Option<&'a Name>,
    /// Tasks with this key.
    pub key: Option<&'a Name>,
}

/// Result of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Written and synced.
    Committed,
    /// Not written: these rows have changed since they were read (or exist already, for new ones). A step that was
    /// started twice names its run as well as the new task.
    Conflict {
        /// Changed tasks.
        tasks: Vec<TaskId>,
        /// Changed runs.
        runs: Vec<RunId>,
        /// Whether another turn took an idempotency key, a version number, an id of a payload or key, or a position in
        /// the audit trail. Also true when it changed a memo.
        other: bool,
    },
}

/// Conflicts collected while a batch is written.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    pub tasks: BTreeSet<TaskId>,
    pub runs: BTreeSet<RunId>,
    pub other: bool,
}

impl Conflicts {
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.runs.is_empty() && !self.other
    }

    /// Returns the result of the batch if there was a conflict.
    pub fn into_commit(self) -> Option<Commit> {
        if self.is_empty() {
            return None;
        }
        let tasks = self.tasks.into_iter().collect();
        Some(Commit::Conflict { tasks, runs: self.runs.into_iter().collect(), other: self.other })
    }
}

/// Bounds of deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bound for tasks outside of runs: those that ended before are deleted.
    pub tasks_before: Timestamp,
    /// Bound for runs: those that ended before are deleted, with their steps, attempts, payloads and journal.
    pub runs_before: Timestamp,
    /// Bound for idempotency keys: those that expired before are deleted.
    pub keys_before: Timestamp,
    /// Limit of keys, tasks, journal entries and runs in one turn.
    pub most: u32,
}

/// Result of deleting a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There is no version of that number.
    Missing,
    /// It is the newest, which is started by name.
    Newest,
    /// In use by this number of runs.
    Used(u64),
}

/// The writing side. It has one owner; every method sees all commits before it.
pub trait Store: LedgerStore + ScheduleStore + SubscriptionStore + Send {
    /// Draws `n` consecutive ids and returns the first.
    fn ids(&mut self, kind: IdKind, n: u32) -> Result<i64, StoreError>;

    /// Returns one task.
    fn task(&mut self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Returns one run and the rows of its steps.
    fn run(&mut self, id: RunId) -> Result<Option<(RunRow, Vec<StepRow>)>, StoreError>;

    /// Returns one version of a workflow.
    fn version(&mut self, id: i64) -> Result<Option<VersionRow>, StoreError>;

    /// Returns the newest version of a workflow.
    fn newest_version(&mut self, tenant: TenantId, workflow: &Name) -> Result<Option<VersionRow>, StoreError>;

    /// Returns the key of a version that is neither used nor the newest, or why it may not be deleted.
    fn deletable(
        &mut self,
        tenant: TenantId,
        workflow: &Name,
        number: u32,
    ) -> Result<Result<i64, Deletion>, StoreError>;

    /// Returns the reply of an idempotency key, unless it expired before `now`: such a key can be used again.
    fn key(&mut self, tenant: TenantId, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError>;

    /// Returns the lanes that hold ready tasks. Costs one index search a lane.
    fn lanes(&mut self) -> Result<Vec<Lane>, StoreError>;

    /// Returns the ready tasks of a lane in the order of claiming, after `after`.
    fn ready(&mut self, lane: &Lane, after: Option<(Rank, TaskId)>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the tasks held for a reason, with that key if one is given, in the order of claiming.
    fn held(&mut self, reason: HoldReason, key: Option<&Name>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the steps of a run that are held because it was paused, by id.
    fn held_steps(&mut self, run: RunId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the step at a position of a run, if it has a row.
    fn step(&mut self, run: RunId, scope: ScopeId, slot: Slot) -> Result<Option<Task>, StoreError>;

    /// Returns a payload as it was written.
    fn payload(&mut self, id: PayloadId) -> Result<Option<PayloadBody>, StoreError>;
    /// Returns the tasks held for a reason that match the filter, in the order of claiming.
    fn held_in(&mut self, reason: HoldReason, place: HeldPlace<'_>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the lanes and keys with tasks held for a reason, each once.
    fn held_lanes(&mut self, reason: HoldReason) -> Result<Vec<(Lane, Option<Name>)>, StoreError>;

    /// Returns the last state of everything that was ever paused or resumed by hand.
    fn gates(&mut self) -> Result<Vec<Gate>, StoreError>;

    /// Returns the task that answers a cache key, unless the entry expired before `now`.
    fn answer(&mut self, tenant: TenantId, key: CacheKey, now: Timestamp) -> Result<Option<TaskId>, StoreError>;

    /// Returns the tasks that are due by `now`, earliest first.
    fn due(&mut self, now: Timestamp, most: u32) -> Result<Vec<TaskId>, StoreError>;

    /// Returns the runs whose time limit is reached by `now`, earliest first.
    fn due_runs(&mut self, now: Timestamp, most: u32) -> Result<Vec<RunId>, StoreError>;

    /// Returns the next time at which a task or a run is due.
    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Returns running tasks after an id, by id.
    fn running(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns open runs after an id, by id.
    fn open_runs(&mut self, after: RunId, most: u32) -> Result<Vec<RunId>, StoreError>;

    /// Returns the end of the audit trail.
    fn audit_head(&mut self) -> Result<Option<AuditHead>, StoreError>;

    /// Returns the workers that hosts of every tenant serve.
    fn host_workers(&mut self) -> Result<Vec<HostWorkerRow>, StoreError>;

    /// Returns one memo.
    fn memo(&mut self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError>;

    /// Returns the newest number of the session log's entries; 0 without entries.
    fn session_last(&mut self) -> Result<u64, StoreError>;

    /// Tells whether there are rows that [`Batch::expired`] with these bounds would delete.
    fn has_expired(&mut self, retention: Retention) -> Result<bool, StoreError>;

    /// Writes a turn: all of it, synced, or nothing. Of an existing task or run only the fields that its state machine
    /// changes are written, not those of its submission. After [`StoreError::Full`] nothing of it was written and the
    /// store continues. After [`StoreError::Io`] it refuses every further commit; opening the store again shows whether
    /// the turn was written.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError>;

    /// Prepares for the end: committed data moves to the main file, so that a copy of that file alone has it. A fault
    /// changes nothing, because the next start repeats it.
    fn close(&mut self) {}
}

/// The reading side: committed data, from any thread, without blocking the writer.
pub trait Reader: LedgerReader + ProgressReader + ScheduleReader + SubscriptionReader + Send + Sync {
    /// Returns one task of a tenant.
    fn task(&self, tenant: TenantId, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Returns the bytes of a payload.
    fn payload(&self, id: PayloadId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the unsuccessful attempts of a task, first to last.
    fn attempts(&self, id: TaskId) -> Result<Vec<Attempt>, StoreError>;

    /// Returns tasks of a tenant, newest first.
    fn tasks(&self, tenant: TenantId, filter: &TaskFilter, page: Page) -> Result<Vec<Task>, StoreError>;

    /// Returns one run of a tenant.
    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<RunRow>, StoreError>;

    /// Returns runs of a tenant, newest first.
    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<RunRow>, StoreError>;

    /// Returns the steps of a run that have a row, by id, after `after`.
    fn steps(&self, run: RunId, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the rows in one scope of a run by slot, after `after`.
    fn scope(&self, run: RunId, scope: ScopeId, after: Option<Slot>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Returns the journal of a run from entry `from` on.
    fn journal(&self, run: RunId, from: u64, most: u32) -> Result<Vec<JournalEntry>, StoreError>;

    /// Returns one version of a workflow.
    fn version(&self, tenant: TenantId, id: i64) -> Result<Option<VersionRow>, StoreError>;

    /// Returns the versions of a workflow, newest first; of every workflow without a name.
    fn versions(&self, tenant: TenantId, workflow: Option<&Name>, page: Page) -> Result<Vec<VersionRow>, StoreError>;

    /// Returns the last state of everything of a tenant that was ever paused or resumed by hand.
    fn gates(&self, tenant: TenantId) -> Result<Vec<Gate>, StoreError>;
    /// Returns every API key, oldest first, including revoked ones.
    fn access_keys(&self) -> Result<Vec<AccessKey>, StoreError>;

    /// Returns the administrative acts that touched a tenant, newest first; those of all tenants without one.
    fn audit(&self, tenant: Option<TenantId>, page: Page) -> Result<Vec<AuditRow>, StoreError>;

    /// Returns the administrative acts of all tenants in their order, after number `after`.
    fn audit_from(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError>;

    /// Returns the workers that hosts of every tenant serve.
    fn host_workers(&self) -> Result<Vec<HostWorkerRow>, StoreError>;

    /// Returns the number of recorded answers that were replayed to an attempt on a worker host, per request.
    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<GivenRow>, StoreError>;

    /// Returns a file that a tenant uploaded.
    fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<ArtifactRow>, StoreError>;

    /// Returns files of a tenant by their hash, after `after`.
    fn artifacts(&self, tenant: TenantId, after: Option<&str>, most: u32) -> Result<Vec<ArtifactRow>, StoreError>;

    /// Returns one memo of a tenant.
    fn memo(&self, tenant: TenantId, collection: &str, key: &str) -> Result<Option<MemoRow>, StoreError>;

    /// Returns memos of a collection by key, after `after`.
    fn memos(
        &self,
        tenant: TenantId,
        collection: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<MemoRow>, StoreError>;

    /// Returns the entries for the session log after that number.
    fn session(&self, after: u64, most: u32) -> Result<Vec<SessionRow>, StoreError>;

    /// Returns one task of any tenant, for duties of the server itself.
    fn task_of_any(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// Counts the open runs of all tenants.
    fn open_run_count(&self) -> Result<u64, StoreError>;

    /// Returns the tenants with open tasks.
    fn busy_tenants(&self) -> Result<Vec<TenantId>, StoreError>;

    /// Counts the open tasks of a tenant, by lane and state.
    fn open_tasks(&self, tenant: TenantId) -> Result<Vec<LaneCount>, StoreError>;
}
