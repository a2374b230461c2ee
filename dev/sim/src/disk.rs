//! The disk under all servers: in memory, with the faults of a disk. Every commit is checked against the laws before
//! the next event.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{Opening, ScopeId, Slot, StepRow},
    task::{Rank, Task, TaskState, WaitFor},
};
use kapelle_store::{
    AnswerRow, Batch, Commit, Fault, Gate, JournalEntry, KeyRow, KeyWrite, Lane, PayloadBody, RunRow, StoreError,
    VersionRow,
};

use crate::{flow::Flow, laws, moment::Moment, plan::Faults, rng::Rng};

/// A position in a run.
pub type Place = (ScopeId, Slot);

/// Stored state of a run.
#[derive(Debug)]
pub struct RunShelf {
    /// Row of the run.
    pub row: RunRow,
    /// Drawn workflow.
    pub flow: Arc<Flow>,
    /// Row of each position that has one.
    pub steps: BTreeMap<Place, TaskId>,
    /// Journal.
    pub journal: Vec<JournalEntry>,
    /// Model of the run for the laws.
    pub model: Option<laws::Model>,
}

/// Rows and their indexes.
#[derive(Debug, Default)]
pub struct Disk {
    /// Tasks by id; gaps are ids of turns that failed.
    pub tasks: Vec<Option<Task>>,
    /// Runs by id.
    pub runs: BTreeMap<RunId, RunShelf>,
    /// Ready tasks by lane.
    pub ready: BTreeMap<Lane, BTreeSet<(Rank, TaskId)>>,
    /// Running tasks.
    pub running: BTreeSet<TaskId>,
    pub(crate) due: BTreeSet<(Timestamp, TaskId)>,
    /// Runs that have not ended.
    pub open_runs: BTreeSet<RunId>,
    payloads: BTreeMap<PayloadId, Arc<[u8]>>,
    pub(crate) keys: BTreeMap<(TenantId, Arc<str>), KeyRow>,
    pub(crate) versions: Vec<VersionRow>,
    /// Pause states.
    pub gates: Vec<Gate>,
    pub(crate) answers: BTreeMap<(TenantId, CacheKey), AnswerRow>,
    pub(crate) next: [i64; 5],
    /// Workflows that clients have started, by name.
    pub flows: BTreeMap<Name, Arc<Flow>>,
    /// Unsuccessful attempts that were recorded.
    pub attempts: BTreeSet<(TaskId, u32)>,
    /// Commands and time of the current turn.
    pub moment: Moment,
    /// Positions of the current turn's signals before the turn.
    pub signals: BTreeMap<(RunId, u64), usize>,
    /// Last heartbeat of a remote attempt, on the monotonic clock.
    pub signs: BTreeMap<TaskId, (u32, u64)>,
    /// Start of the hosts' attempts, on the monotonic clock.
    pub begun: BTreeMap<TaskId, (u32, u64)>,
    /// First broken law.
    pub broken: Option<String>,
    /// Number of written commits.
    pub commits: u64,
    /// Outcomes of the commits, when the story is recorded.
    pub(crate) outcomes: Option<Vec<Fault>>,
    faults: Faults,
    rng: Option<Rng>,
}

/// Shared handle of the disk.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    /// Locks the disk.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Sets the rates of failing commits.
    pub fn set_faults(&mut self, faults: Faults, rng: Rng) {
        self.faults = faults;
        self.rng = Some(rng);
    }

    /// Returns a task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(usize::try_from(id.0).ok()?)?.as_ref()
    }

    /// Returns the bytes of a payload.
    #[must_use]
    pub fn payload(&self, id: PayloadId) -> Option<&Arc<[u8]>> {
        self.payloads.get(&id)
    }

    /// Returns the open tasks.
    pub fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().flatten().filter(|task| !task.state.kind().is_terminal())
    }

    /// Returns the rows of a run's steps, as a recovery reads them.
    #[must_use]
    pub fn rows(&self, shelf: &RunShelf) -> Vec<StepRow> {
        let row = |(&(scope, slot), &task): (&Place, &TaskId)| {
            let state = &self.task(task)?.state;
            let (opened, signal): (Option<Opening>, Option<Name>) = match state {
                TaskState::Waiting(WaitFor::Scope(opening)) => (Some(*opening), None),
                TaskState::Waiting(WaitFor::Signal { name, .. }) => (None, Some(name.clone())),
                _ => (None, None),
            };
            Some(StepRow { scope, slot, task, state: state.kind(), opened, signal })
        };
        shelf.steps.iter().filter_map(row).collect()
    }

    pub(crate) fn run_dues(&self) -> impl Iterator<Item = (Timestamp, RunId)> {
        // The clock of a paused run is stopped.
        let open = self.open_runs.iter().filter_map(|id| self.runs.get(id)).map(|shelf| &shelf.row);
        open.filter(|row| row.paused.is_none() && row.clock_paused.is_none())
            .filter_map(|row| Some((row.due_at?, row.id)))
    }

    fn conflicts(&self, batch: &Batch<'_>) -> Option<Commit> {
        let stale = |expected: Option<u32>, found: Option<u32>| expected != found;
        let tasks = batch.tasks.iter();
        let tasks = tasks.filter(|write| stale(write.expected, self.task(write.task.id).map(|task| task.revision)));
        let tasks: Vec<TaskId> = tasks.map(|write| write.task.id).collect();
        let runs = batch.runs.iter();
        let runs =
            runs.filter(|write| stale(write.expected, self.runs.get(&write.run.id).map(|shelf| shelf.row.revision)));
        let runs: Vec<RunId> = runs.map(|write| write.run.id).collect();
        let key_taken = |KeyWrite { row, at }: &KeyWrite| {
            let found = self.keys.get(&(row.tenant, Arc::clone(&row.key)));
            found.is_some_and(|found| found.until >= *at)
        };
        let version_taken = |row: &VersionRow| {
            self.versions.iter().any(|other| other.workflow == row.workflow && other.number == row.number)
        };
        let other = batch.keys.iter().any(key_taken) || batch.versions.iter().any(version_taken);
        (!tasks.is_empty() || !runs.is_empty() || other).then_some(Commit::Conflict { tasks, runs, other })
    }

    /// Adds a row to the indexes, or removes it.
    fn index(&mut self, task: &Task, there: bool) {
        fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, there: bool) {
            if there {
                set.insert(item);
            } else {
                set.remove(&item);
            }
        }
        if let TaskState::Ready { rank } = task.state {
            put(self.ready.entry(lane_of(task)).or_default(), (rank, task.id), there);
        }
        if let TaskState::Running(_) = task.state {
            put(&mut self.running, task.id, there);
        }
        if let Some(due) = task.due_at() {
            put(&mut self.due, (due, task.id), there);
        }
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        self.commits += 1;
        for write in &batch.tasks {
            let id = usize::try_from(write.task.id.0).map_err(|_| "a negative id")?;
            if self.tasks.len() <= id {
                self.tasks.resize(id + 1, None);
            }
            if let Some(before) = self.tasks[id].take() {
                self.index(&before, false);
            }
            self.index(write.task, true);
            self.tasks[id] = Some(write.task.clone());
        }
        for attempt in &batch.attempts {
            if !self.attempts.insert((attempt.task, attempt.epoch)) {
                return Err(format!("attempt {} of {} was recorded twice", attempt.epoch, attempt.task));
            }
        }
        for (id, body) in &batch.payloads {
            let bytes = match body {
                PayloadBody::Bytes(bytes) => Arc::clone(bytes),
                PayloadBody::File { .. } => Arc::from(&b"null"[..]),
            };
            self.payloads.insert(*id, bytes);
        }
        for KeyWrite { row, .. } in &batch.keys {
            self.keys.insert((row.tenant, Arc::clone(&row.key)), row.clone());
        }
        self.versions.extend(batch.versions.iter().cloned());
        for gate in &batch.gates {
            self.gates.retain(|other| (other.kind, &other.name) != (gate.kind, &gate.name));
            self.gates.push(gate.clone());
        }
        self.answers.extend(batch.answers.iter().map(|row| ((row.tenant, row.key), *row)));
        self.write_runs(batch)
    }

    fn write_runs(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for write in &batch.runs {
            let row = RunRow::from(write.run);
            if row.status.kind().is_terminal() {
                self.open_runs.remove(&row.id);
            } else {
                self.open_runs.insert(row.id);
            }
            if let Some(shelf) = self.runs.get_mut(&row.id) {
                shelf.row = row;
                continue;
            }
            let flow = self.flows.get(&row.workflow).cloned().ok_or("a run of an unknown workflow")?;
            let steps = BTreeMap::new();
            self.runs.insert(row.id, RunShelf { row, flow, steps, journal: Vec::new(), model: None });
        }
        for write in batch.tasks.iter().filter(|write| write.expected.is_none()) {
            let Some(origin) = &write.task.origin else { continue };
            let shelf = self.runs.get_mut(&origin.run).ok_or("a step of a run that is not there")?;
            if let Some(other) = shelf.steps.insert((origin.scope, origin.slot), write.task.id) {
                let (path, run) = (&origin.path, origin.run);
                return Err(format!("I6: step {path} of {run} has two rows: {other}, {}", write.task.id));
            }
        }
        for entry in &batch.journal {
            let shelf = self.runs.get_mut(&entry.run).ok_or("a journal of a run that is not there")?;
            if entry.seq != shelf.journal.len() as u64 {
                let (run, expected) = (entry.run, shelf.journal.len());
                return Err(format!("the journal of {run} has entry {} where {expected} is due", entry.seq));
            }
            shelf.journal.push(entry.clone());
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        let outcome = self.try_commit(batch);
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.push(match &outcome {
                Ok(Commit::Committed) => Fault::None,
                Ok(Commit::Conflict { .. }) => Fault::Conflict,
                Err(StoreError::Full(_)) => Fault::Full,
                Err(_) => Fault::Fail,
            });
        }
        outcome
    }

    fn try_commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
        let faults = self.faults.clone();
        let mut happens = |chance: u32| self.rng.as_mut().is_some_and(|rng| rng.chance(chance));
        if happens(faults.conflict) {
            return Ok(Commit::Conflict { tasks: Vec::new(), runs: Vec::new(), other: true });
        }
        if happens(faults.full) {
            return Err(StoreError::Full(PathBuf::new()));
        }
        if happens(faults.crash_before) {
            return Err(StoreError::Database("the server died before the commit".to_owned()));
        }
        let dies = happens(faults.crash_after);
        if let Some(conflict) = self.conflicts(batch) {
            return Ok(conflict);
        }
        let checked =
            laws::before(self, batch).and_then(|()| self.write(batch)).and_then(|()| laws::after(self, batch));
        if let Err(law) = checked {
            self.broken.get_or_insert(law);
        }
        if dies {
            Err(StoreError::Database("the server died after the commit".to_owned()))
        } else {
            Ok(Commit::Committed)
        }
    }
}

/// Returns the lane of a task.
#[must_use]
pub fn lane_of(task: &Task) -> Lane {
    Lane::of(task)
}
