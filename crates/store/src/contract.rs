//! What a store must do. `Mem` and SQLite pass the same conformance suite.

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
    rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter},
    session::SessionRow,
};

/// The sequences from which ids are drawn. A number is never handed out twice, also after the newest rows were
/// deleted and after a restart; a turn that fails may leave a gap.
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
}

/// Ready tasks are kept in lanes: one for each worker in each queue of each tenant, and for what is required of hosts. Pausing, slots and routing choose
/// among lanes; within one, rank decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The tenant.
    pub tenant: TenantId,
    /// The queue.
    pub queue: Name,
    /// The worker.
    pub worker: Name,
    /// The labels that a host must have.
    pub requires: Requires,
}

impl Lane {
    /// The lane of a task.
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

/// Where held tasks are looked for. What is left out does not restrict.
#[derive(Debug, Clone, Copy)]
pub struct HeldPlace<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Of this queue.
    pub queue: Option<&'a Name>,
    /// For this worker.
    pub worker: Option<&'a Name>,
    /// With this key.
    pub key: Option<&'a Name>,
}

/// How a commit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Written and synced.
    Committed,
    /// Nothing was written: these rows had changed since they were read (or exist already, for new ones). A step
    /// that was started twice names its run as well as the new task.
    Conflict {
        /// Changed tasks.
        tasks: Vec<TaskId>,
        /// Changed runs.
        runs: Vec<RunId>,
        /// An idempotency key, the number of a version, the id of a payload or of a key, or a place in the audit trail
        /// was taken by another turn.
        other: bool,
    },
}

/// What met a conflict, collected while a batch is written.
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

    /// The answer to the batch, when there was any conflict.
    pub fn into_commit(self) -> Option<Commit> {
        if self.is_empty() {
            return None;
        }
        let tasks = self.tasks.into_iter().collect();
        Some(Commit::Conflict { tasks, runs: self.runs.into_iter().collect(), other: self.other })
    }
}

/// What may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Tasks of their own that ended before this.
    pub tasks_before: Timestamp,
    /// Runs that ended before this, with their steps, attempts, payloads and journal.
    pub runs_before: Timestamp,
    /// Idempotency keys whose time ended before this.
    pub keys_before: Timestamp,
    /// At most so many keys, tasks, journal entries and runs in one go.
    pub most: u32,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Tasks, the steps of runs included.
    pub tasks: u64,
    /// Runs.
    pub runs: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

/// How deleting a version went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There is none of that number.
    Missing,
    /// It is the newest: what is started by name is that one.
    Newest,
    /// So many runs stay on it.
    Used(u64),
}

/// The writing side. One owner; every method sees all commits before it.
pub trait Store: LedgerStore + Send {
    /// Draws `n` consecutive ids and returns the first.
    fn ids(&mut self, kind: IdKind, n: u32) -> Result<i64, StoreError>;

    /// One task.
    fn task(&mut self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// One run and the rows of its steps.
    fn run(&mut self, id: RunId) -> Result<Option<(RunRow, Vec<StepRow>)>, StoreError>;

    /// One version of a workflow.
    fn version(&mut self, id: i64) -> Result<Option<VersionRow>, StoreError>;

    /// The newest version of a workflow.
    fn newest_version(&mut self, tenant: TenantId, workflow: &Name) -> Result<Option<VersionRow>, StoreError>;

    /// Deletes a version that no run stays on and that is not the newest.
    fn delete_version(&mut self, tenant: TenantId, workflow: &Name, number: u32) -> Result<Deletion, StoreError>;

    /// What an idempotency key stands for, unless its time ended before `now`: such a key is forgotten here, so that
    /// it can be used again.
    fn key(&mut self, tenant: TenantId, key: &str, now: Timestamp) -> Result<Option<KeyRow>, StoreError>;

    /// The lanes that hold ready tasks. Costs one index search a lane.
    fn lanes(&mut self) -> Result<Vec<Lane>, StoreError>;

    /// The ready tasks of a lane in the order of claiming, from behind `after`.
    fn ready(&mut self, lane: &Lane, after: Option<(Rank, TaskId)>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// The tasks held for a reason, of a key when one is given, in the order of claiming.
    fn held(&mut self, reason: HoldReason, key: Option<&Name>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Steps of a run that are held because it was paused, by id.
    fn held_steps(&mut self, run: RunId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// The step at a place of a run, when it has a row.
    fn step(&mut self, run: RunId, scope: ScopeId, slot: Slot) -> Result<Option<Task>, StoreError>;

    /// A payload as it was written.
    fn payload(&mut self, id: PayloadId) -> Result<Option<PayloadBody>, StoreError>;
    /// The tasks held for a reason in that place, in the order of claiming.
    fn held_in(&mut self, reason: HoldReason, place: HeldPlace<'_>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// Where tasks are held for a reason: every lane and key, once.
    fn held_lanes(&mut self, reason: HoldReason) -> Result<Vec<(Lane, Option<Name>)>, StoreError>;

    /// Everything that was ever paused or resumed by hand, in its last state.
    fn gates(&mut self) -> Result<Vec<Gate>, StoreError>;

    /// The task that answers a question, unless the entry's time ended before `now`.
    fn answer(&mut self, tenant: TenantId, key: CacheKey, now: Timestamp) -> Result<Option<TaskId>, StoreError>;

    /// The tasks to which something must happen by `now`, earliest first.
    fn due(&mut self, now: Timestamp, most: u32) -> Result<Vec<TaskId>, StoreError>;

    /// The runs that are out of time by `now`, earliest first.
    fn due_runs(&mut self, now: Timestamp, most: u32) -> Result<Vec<RunId>, StoreError>;

    /// When something must next happen to a task or a run.
    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// The running tasks behind an id, by id.
    fn running(&mut self, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// The runs behind an id that have not ended, by id.
    fn open_runs(&mut self, after: RunId, most: u32) -> Result<Vec<RunId>, StoreError>;

    /// The end of the trail of administrative acts.
    fn audit_head(&mut self) -> Result<Option<AuditHead>, StoreError>;

    /// What worker hosts of every tenant said of their workers.
    fn host_workers(&mut self) -> Result<Vec<HostWorkerRow>, StoreError>;

    /// The newest number of what the session log has to write; 0 when there never was anything.
    fn session_last(&mut self) -> Result<u64, StoreError>;

    /// Writes a turn: all of it, synced, or nothing. Of a task or run that exists only what its state machine changes
    /// is written, not what it was submitted with. After [`StoreError::Full`] nothing of it was written and the store
    /// goes on; after [`StoreError::Io`] it refuses every further commit, and whether the turn was written shows when
    /// the store is opened again.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError>;

    /// Deletes what is past its retention, a bounded amount at a time.
    fn prune(&mut self, retention: Retention) -> Result<Pruned, StoreError>;
}

/// The reading side: committed data, from any thread, never in the way of the writer.
pub trait Reader: LedgerReader + Send + Sync {
    /// One task of a tenant.
    fn task(&self, tenant: TenantId, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// The bytes of a payload.
    fn payload(&self, id: PayloadId) -> Result<Option<Vec<u8>>, StoreError>;

    /// The attempts of a task that did not succeed, first to last.
    fn attempts(&self, id: TaskId) -> Result<Vec<Attempt>, StoreError>;

    /// Tasks of a tenant, newest first.
    fn tasks(&self, tenant: TenantId, filter: &TaskFilter, page: Page) -> Result<Vec<Task>, StoreError>;

    /// One run of a tenant.
    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<RunRow>, StoreError>;

    /// Runs of a tenant, newest first.
    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<RunRow>, StoreError>;

    /// The steps of a run that have a row, by id, from behind `after`.
    fn steps(&self, run: RunId, after: TaskId, most: u32) -> Result<Vec<Task>, StoreError>;

    /// The rows in one scope of a run by slot, from behind `after`.
    fn scope(&self, run: RunId, scope: ScopeId, after: Option<Slot>, most: u32) -> Result<Vec<Task>, StoreError>;

    /// The journal of a run from entry `from` on.
    fn journal(&self, run: RunId, from: u64, most: u32) -> Result<Vec<JournalEntry>, StoreError>;

    /// One version of a workflow.
    fn version(&self, tenant: TenantId, id: i64) -> Result<Option<VersionRow>, StoreError>;

    /// The versions of a workflow, newest first; of every workflow when none is named.
    fn versions(&self, tenant: TenantId, workflow: Option<&Name>, page: Page) -> Result<Vec<VersionRow>, StoreError>;

    /// Everything of a tenant that was ever paused or resumed by hand, in its last state.
    fn gates(&self, tenant: TenantId) -> Result<Vec<Gate>, StoreError>;
    /// Every key, oldest first, also those that were taken back.
    fn access_keys(&self) -> Result<Vec<AccessKey>, StoreError>;

    /// Administrative acts that touched a tenant, newest first.
    fn audit(&self, tenant: TenantId, page: Page) -> Result<Vec<AuditRow>, StoreError>;

    /// Administrative acts in their order, from behind number `after`, of all tenants.
    fn audit_from(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError>;

    /// What worker hosts of every tenant said of their workers.
    fn host_workers(&self) -> Result<Vec<HostWorkerRow>, StoreError>;

    /// How many of the recorded answers to each request an attempt on a worker host was given again.
    fn given(&self, task: TaskId, attempt: u32) -> Result<Vec<GivenRow>, StoreError>;

    /// A file that a tenant gave.
    fn artifact(&self, tenant: TenantId, sha256: &str) -> Result<Option<ArtifactRow>, StoreError>;

    /// Files of a tenant by their hash, from behind `after`.
    fn artifacts(&self, tenant: TenantId, after: Option<&str>, most: u32) -> Result<Vec<ArtifactRow>, StoreError>;

    /// What the session log has to write, from behind that number.
    fn session(&self, after: u64, most: u32) -> Result<Vec<SessionRow>, StoreError>;

    /// One task of whichever tenant, for duties of the server itself.
    fn task_of_any(&self, id: TaskId) -> Result<Option<Task>, StoreError>;

    /// How many runs of all tenants have not ended.
    fn open_run_count(&self) -> Result<u64, StoreError>;

    /// The tenants that have tasks which have not ended.
    fn busy_tenants(&self) -> Result<Vec<TenantId>, StoreError>;

    /// How many tasks that have not ended there are, by lane and state.
    fn open_tasks(&self, tenant: TenantId) -> Result<Vec<LaneCount>, StoreError>;
}
