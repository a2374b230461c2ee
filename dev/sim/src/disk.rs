//! What is stored: one disk under all servers, in memory, with the faults of a disk. Every commit passes the laws
//! before the next thing happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kapelle_core::{
    Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{Opening, ScopeId, Slot, StepRow},
    task::{HoldReason, Rank, Task, TaskState, WaitFor},
};
use kapelle_store::{
    AnswerRow, Batch, Commit, Deletion, Gate, HeldPlace, IdKind, JournalEntry, KeyRow, Lane, PayloadBody, Pruned,
    Retention, RunRow, Store, StoreError, VersionRow,
};

use crate::{flow::Flow, laws, moment::Moment, plan::Faults, rng::Rng};

/// A place in a run.
pub type Place = (ScopeId, Slot);

/// What is stored of a run.
#[derive(Debug)]
pub struct RunShelf {
    /// Its row.
    pub row: RunRow,
    /// Its workflow, as it was drawn.
    pub flow: Arc<Flow>,
    /// The row of each place that has one.
    pub steps: BTreeMap<Place, TaskId>,
    /// Its journal.
    pub journal: Vec<JournalEntry>,
}

/// The rows and their indexes.
#[derive(Debug, Default)]
pub struct Disk {
    /// By id; gaps are ids of turns that failed.
    pub tasks: Vec<Option<Task>>,
    /// By id.
    pub runs: BTreeMap<RunId, RunShelf>,
    /// Ready tasks by lane.
    pub ready: BTreeMap<Lane, BTreeSet<(Rank, TaskId)>>,
    /// Running tasks.
    pub running: BTreeSet<TaskId>,
    due: BTreeSet<(Timestamp, TaskId)>,
    /// Runs that have not ended.
    pub open_runs: BTreeSet<RunId>,
    payloads: BTreeMap<PayloadId, Arc<[u8]>>,
    keys: BTreeMap<(TenantId, Arc<str>), KeyRow>,
    versions: Vec<VersionRow>,
    /// What was paused or resumed.
    pub gates: Vec<Gate>,
    answers: BTreeMap<(TenantId, CacheKey), AnswerRow>,
    next: [i64; 4],
    /// Workflows that clients have started, by name.
    pub flows: BTreeMap<Name, Arc<Flow>>,
    /// Unsuccessful attempts that were recorded.
    pub attempts: BTreeSet<(TaskId, u32)>,
    /// What the turn under way was asked, and when.
    pub moment: Moment,
    /// The last sign of life of a remote attempt, on the steady clock.
    pub signs: BTreeMap<TaskId, (u32, u64)>,
    /// The first law that was broken.
    pub broken: Option<String>,
    /// Commits that were written.
    pub commits: u64,
    faults: Faults,
    rng: Option<Rng>,
}

/// The disk as servers and the simulation hold it.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    /// The disk itself.
    pub fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Sets how often commits go wrong.
    pub fn set_faults(&mut self, faults: Faults, rng: Rng) {
        self.faults = faults;
        self.rng = Some(rng);
    }

    /// A task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(usize::try_from(id.0).ok()?)?.as_ref()
    }

    /// The bytes of a payload.
    #[must_use]
    pub fn payload(&self, id: PayloadId) -> Option<&Arc<[u8]>> {
        self.payloads.get(&id)
    }

    /// The tasks that have not ended.
    pub fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().flatten().filter(|task| !task.state.kind().is_terminal())
    }

    /// The rows of a run's steps, as a recovery reads them.
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

    fn run_dues(&self) -> impl Iterator<Item = (Timestamp, RunId)> {
        // The time of a paused run stands still.
        let open = self.open_runs.iter().filter_map(|id| self.runs.get(id)).map(|shelf| &shelf.row);
        open.filter(|row| row.paused.is_none()).filter_map(|row| Some((row.due_at?, row.id)))
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
        let key_taken = |row: &KeyRow| {
            let found = self.keys.get(&(row.tenant, Arc::clone(&row.key)));
            found.is_some_and(|found| found.until >= self.moment.now)
        };
        let version_taken = |row: &VersionRow| {
            self.versions.iter().any(|other| other.workflow == row.workflow && other.number == row.number)
        };
        let other = batch.keys.iter().any(key_taken) || batch.versions.iter().any(version_taken);
        (!tasks.is_empty() || !runs.is_empty() || other).then_some(Commit::Conflict { tasks, runs, other })
    }

    /// Takes the indexes of a row away, or puts them in.
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
        for row in &batch.keys {
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
            self.runs.insert(row.id, RunShelf { row, flow, steps, journal: Vec::new() });
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

    fn commit(&mut self, batch: &Batch<'_>) -> Result<Commit, StoreError> {
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

/// The lane of a task.
#[must_use]
pub fn lane_of(task: &Task) -> Lane {
    Lane { tenant: task.tenant, queue: task.queue.clone(), worker: task.worker.clone() }
}

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

    fn delete_version(&mut self, _tenant: TenantId, _workflow: &Name, _number: u32) -> Result<Deletion, StoreError> {
        // Nobody deletes versions here.
        Ok(Deletion::Missing)
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

    fn prune(&mut self, _retention: Retention) -> Result<Pruned, StoreError> {
        Ok(Pruned::default())
    }
}
