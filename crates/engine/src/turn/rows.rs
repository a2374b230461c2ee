//! The rows as the turn under way has them: the store, what of it is in memory, and what the turn is given from outside.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kapelle_core::{
    Name, Payload, PayloadId, Requires, RunId, TaskId, Timestamp,
    task::{Report, Task, TaskState},
};
use kapelle_store::{Act, AuditRow, CallAnswer, IdKind, Store, StoreError};

use super::{
    cache::Cache,
    directory::{Admission, Directory},
    effect::Effect,
    notice::NoticeFlags,
    outside::Outside,
    payload::NewPayload,
};
use crate::options::Options;

/// The rows, and what a turn is given from outside: the time, random numbers, what this process knows.
pub(crate) struct Rows {
    pub(crate) store: Box<dyn Store>,
    pub(crate) cache: Cache,
    pub(crate) options: Options,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) random: Box<dyn FnMut() -> u64 + Send>,
    /// Answers from outside that come within the turn.
    pub(super) outside: Outside,
    /// The wall clock of the turn.
    pub(crate) now: Timestamp,
    /// The steady clock of the turn.
    pub(crate) steady_ms: u64,
    /// Effects that follow the commit of the turn, in this order.
    pub(crate) effects: Vec<Effect>,
    /// Tasks that were read from the store, which most often need not stay in memory.
    pub(crate) loaded: Vec<TaskId>,
    /// Runs that were read from the store.
    pub(crate) loaded_runs: Vec<RunId>,
    /// Somebody watches runs.
    pub(crate) watched: Arc<AtomicBool>,
    /// Somebody wants notices.
    pub(crate) flags: NoticeFlags,
}

impl Rows {
    pub(crate) fn new(
        store: Box<dyn Store>,
        options: Options,
        directory: Arc<dyn Directory>,
        random: Box<dyn FnMut() -> u64 + Send>,
    ) -> Rows {
        Rows {
            store,
            cache: Cache::default(),
            options,
            directory,
            random,
            outside: Outside::default(),
            now: Timestamp::default(),
            steady_ms: 0,
            effects: Vec::new(),
            loaded: Vec::new(),
            loaded_runs: Vec::new(),
            watched: Arc::default(),
            flags: NoticeFlags::default(),
        }
    }

    /// A turn begins, or is begun again.
    pub(crate) fn begin(&mut self, now: Timestamp, steady_ms: u64) {
        (self.now, self.steady_ms) = (now, steady_ms);
        self.effects.clear();
        self.loaded.clear();
        self.loaded_runs.clear();
    }

    /// The turn is rolled back: what is stored is the truth.
    pub(crate) fn forget(&mut self) {
        self.cache.forget();
        self.effects.clear();
    }

    /// Brings a task into memory. Returns whether there is one.
    pub(crate) fn load(&mut self, id: TaskId) -> Result<bool, StoreError> {
        if self.cache.task(id).is_some() {
            return Ok(true);
        }
        let Some(task) = self.store.task(id)? else { return Ok(false) };
        self.cache.tasks.insert(id, task);
        self.loaded.push(id);
        Ok(true)
    }

    /// Brings a task into memory to check a lease. Nobody is refused on what may be behind the store, which another
    /// server may have written since.
    pub(crate) fn load_for(&mut self, report: &Report) -> Result<bool, StoreError> {
        let id = report.task;
        let holds = self.cache.task(id).map(|task| task.lease(report).is_ok());
        if holds == Some(false) && !self.cache.changed_tasks.contains_key(&id) {
            self.cache.tasks.remove(&id);
        }
        self.load(id)
    }

    /// Gives a payload its place: in the row when it is small, otherwise in a row of its own.
    pub(crate) fn place(&mut self, payload: &NewPayload) -> Result<Payload, StoreError> {
        Ok(match payload {
            NewPayload::None => Payload::None,
            NewPayload::Bytes(bytes) if payload.is_inline() => Payload::Inline(Arc::clone(bytes)),
            other => {
                let id = PayloadId(self.store.ids(IdKind::Payload, 1)?);
                self.cache.payloads.push((id, other.body()));
                Payload::Row(id)
            }
        })
    }

    /// Gives the answer of a call its place.
    pub(crate) fn place_answer(&mut self, body: &NewPayload, meta: &Arc<str>) -> Result<CallAnswer, StoreError> {
        let id = PayloadId(self.store.ids(IdKind::Payload, 1)?);
        self.cache.payloads.push((id, body.body()));
        Ok(CallAnswer { payload: id, meta: Arc::clone(meta) })
    }

    /// Adds an act to the audit trail.
    pub(crate) fn write_down(&mut self, act: &Act) -> Result<(), StoreError> {
        let head = match self.cache.audit.last() {
            Some(last) => Some(last.head()),
            None => self.store.audit_head()?,
        };
        self.cache.audit.push(AuditRow::after(head, self.now, act.clone()));
        Ok(())
    }

    pub(crate) fn leases_watched(&self) -> bool {
        self.flags.leases.load(Ordering::Relaxed)
    }

    pub(crate) fn changes_watched(&self) -> bool {
        self.flags.changes.load(Ordering::Relaxed)
    }

    pub(crate) fn watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Asks for the right of a task to one call of a model.
    pub(super) fn admit_call(&mut self, model: &Name, task: TaskId) -> Admission {
        self.outside.admit_call(&self.directory, (model, task), self.steady_ms)
    }

    /// A random number.
    pub(crate) fn random(&mut self) -> u64 {
        (self.random)()
    }

    /// The task, when that attempt of it is the one under way. Attempt 0 stands for any.
    pub(crate) fn spender(&mut self, id: TaskId, attempt: u32) -> Result<Option<Task>, StoreError> {
        if !self.load(id)? {
            return Ok(None);
        }
        let task = self.cache.task(id).cloned();
        let runs =
            |task: &Task| matches!(task.state, TaskState::Running(lease) if attempt == 0 || lease.epoch == attempt);
        Ok(task.filter(runs))
    }

    /// Whether tasks with these requirements may run in this process.
    pub(crate) fn meets(&self, requires: &Requires) -> bool {
        requires.is_met_by(&self.options.labels)
    }
}
