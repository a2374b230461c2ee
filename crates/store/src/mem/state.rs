//! Rows, and the indexes over them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kapelle_core::{
    Name, Payload, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{RunEvent, ScopeId, Slot},
    task::{Attempt, Rank, Task, TaskState},
};

use super::{ledger::LedgerRows, schedule::ScheduleRows, subscription::SubscriptionRows};
use crate::{
    access::AccessKey,
    audit::AuditRow,
    batch::{AnswerRow, Gate, GateKind, KeyRow, PayloadBody, VersionRow},
    contract::Lane,
    hosted::{ArtifactRow, HostWorkerRow},
    memo::MemoRow,
    rows::RunRow,
    session::SessionRow,
};

/// Position of a step; it has at most one row.
pub(super) type Place = (RunId, ScopeId, Slot);

/// State that all handles share.
#[derive(Debug)]
pub(super) struct State {
    pub next: [i64; 6],
    pub tasks: BTreeMap<TaskId, Task>,
    pub runs: BTreeMap<RunId, RunRow>,
    pub attempts: BTreeMap<(TaskId, u32), Attempt>,
    pub journal: BTreeMap<(RunId, u64), (Timestamp, RunEvent)>,
    pub payloads: BTreeMap<PayloadId, PayloadBody>,
    pub keys: BTreeMap<(TenantId, Arc<str>), KeyRow>,
    pub versions: BTreeMap<i64, VersionRow>,
    pub numbers: BTreeSet<(TenantId, Name, u32)>,
    pub gates: BTreeMap<(TenantId, GateKind, Name), Gate>,
    pub answers: BTreeMap<(TenantId, CacheKey), AnswerRow>,
    pub steps: BTreeMap<Place, TaskId>,
    pub ready: BTreeMap<Lane, BTreeSet<(Rank, TaskId)>>,
    pub held: BTreeSet<(u8, Rank, TaskId)>,
    pub due: BTreeSet<(Timestamp, TaskId)>,
    pub running: BTreeSet<TaskId>,
    pub open_runs: BTreeSet<RunId>,
    pub ended_tasks: BTreeSet<(Timestamp, TaskId)>,
    pub ended_runs: BTreeSet<(Timestamp, RunId)>,
    pub access: BTreeMap<Arc<str>, AccessKey>,
    pub audit: BTreeMap<u64, AuditRow>,
    pub host_workers: BTreeMap<(TenantId, Name), HostWorkerRow>,
    pub given: BTreeMap<(TaskId, u32, [u8; 32]), u32>,
    pub artifacts: BTreeMap<(TenantId, Arc<str>), ArtifactRow>,
    pub memos: BTreeMap<(TenantId, Arc<str>, Arc<str>), MemoRow>,
    pub session: BTreeMap<u64, SessionRow>,
    pub ledger: LedgerRows,
    pub schedules: ScheduleRows,
    pub subscriptions: SubscriptionRows,
    /// Number of tasks and runs that refer to each payload.
    pub uses: BTreeMap<PayloadId, u32>,
}

impl Default for State {
    fn default() -> State {
        State {
            next: [1; 6],
            tasks: BTreeMap::new(),
            runs: BTreeMap::new(),
            attempts: BTreeMap::new(),
            journal: BTreeMap::new(),
            payloads: BTreeMap::new(),
            keys: BTreeMap::new(),
            versions: BTreeMap::new(),
            numbers: BTreeSet::new(),
            gates: BTreeMap::new(),
            answers: BTreeMap::new(),
            steps: BTreeMap::new(),
            ready: BTreeMap::new(),
            held: BTreeSet::new(),
            due: BTreeSet::new(),
            running: BTreeSet::new(),
            open_runs: BTreeSet::new(),
            ended_tasks: BTreeSet::new(),
            ended_runs: BTreeSet::new(),
            access: BTreeMap::new(),
            audit: BTreeMap::new(),
            host_workers: BTreeMap::new(),
            given: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            memos: BTreeMap::new(),
            session: BTreeMap::new(),
            ledger: LedgerRows::default(),
            schedules: ScheduleRows::default(),
            subscriptions: SubscriptionRows::default(),
            uses: BTreeMap::new(),
        }
    }
}

/// Returns the position of a task that is a step.
pub(super) fn place(task: &Task) -> Option<Place> {
    task.origin.as_ref().map(|origin| (origin.run, origin.scope, origin.slot))
}

/// Returns the payload rows that a task refers to.
fn task_payloads(task: &Task) -> [Option<PayloadId>; 2] {
    let output = match &task.state {
        TaskState::Succeeded { output, .. } => row(output),
        _ => None,
    };
    [row(&task.input), output]
}

/// Returns the payload row behind a payload.
pub(super) fn row(payload: &Payload) -> Option<PayloadId> {
    match payload {
        Payload::Row(id) => Some(*id),
        _ => None,
    }
}

/// Returns the payload rows that a run refers to.
fn run_payloads(run: &RunRow) -> [Option<PayloadId>; 2] {
    let outputs = match &run.status {
        kapelle_core::run::RunStatus::Succeeded { outputs, .. } => row(outputs),
        _ => None,
    };
    [row(&run.inputs), outputs]
}

impl State {
    /// Returns the times at which runs reach their limit. The clock of a run is stopped while it is paused or only
    /// waits.
    pub fn run_dues(&self) -> impl Iterator<Item = (Timestamp, RunId)> {
        let open = self.open_runs.iter().filter_map(|id| self.runs.get(id));
        open.filter(|run| run.paused.is_none() && run.clock_paused.is_none())
            .filter_map(|run| Some((run.due_at?, run.id)))
    }

    /// Replaces the row of a task.
    pub fn put_task(&mut self, task: Task) {
        self.take_task(task.id);
        for id in task_payloads(&task).into_iter().flatten() {
            *self.uses.entry(id).or_default() += 1;
        }
        if let Some(place) = place(&task) {
            self.steps.insert(place, task.id);
        }
        if let Some(due) = task.due_at() {
            self.due.insert((due, task.id));
        }
        if let (Some(ended), None) = (task.ended_at(), &task.origin) {
            self.ended_tasks.insert((ended, task.id));
        }
        match &task.state {
            TaskState::Ready { rank } => {
                self.ready.entry(Lane::of(&task)).or_default().insert((*rank, task.id));
            }
            TaskState::Running(_) => {
                self.running.insert(task.id);
            }
            TaskState::Held { reason, rank } => {
                self.held.insert((*reason as u8, *rank, task.id));
            }
            _ => {}
        }
        self.tasks.insert(task.id, task);
    }

    /// Removes a task from the rows and indexes. Its payloads stay, uncounted.
    pub fn take_task(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        for id in task_payloads(&task).into_iter().flatten() {
            self.uses.entry(id).and_modify(|uses| *uses -= 1);
        }
        if let Some(place) = place(&task) {
            self.steps.remove(&place);
        }
        if let Some(due) = task.due_at() {
            self.due.remove(&(due, id));
        }
        if let Some(ended) = task.ended_at() {
            self.ended_tasks.remove(&(ended, id));
        }
        match &task.state {
            TaskState::Ready { rank } => {
                let lane = Lane::of(&task);
                if let Some(ready) = self.ready.get_mut(&lane) {
                    ready.remove(&(*rank, id));
                    if ready.is_empty() {
                        self.ready.remove(&lane);
                    }
                }
            }
            TaskState::Running(_) => {
                self.running.remove(&id);
            }
            TaskState::Held { reason, rank } => {
                self.held.remove(&(*reason as u8, *rank, id));
            }
            _ => {}
        }
        Some(task)
    }

    /// Replaces the row of a run.
    pub fn put_run(&mut self, run: RunRow) {
        self.take_run(run.id);
        for id in run_payloads(&run).into_iter().flatten() {
            *self.uses.entry(id).or_default() += 1;
        }
        match run.status.ended_at() {
            Some(ended) => self.ended_runs.insert((ended, run.id)),
            None => self.open_runs.insert(run.id),
        };
        self.runs.insert(run.id, run);
    }

    /// Removes a run from the rows and indexes. Its payloads stay, uncounted.
    pub fn take_run(&mut self, id: RunId) -> Option<RunRow> {
        let run = self.runs.remove(&id)?;
        for id in run_payloads(&run).into_iter().flatten() {
            self.uses.entry(id).and_modify(|uses| *uses -= 1);
        }
        self.open_runs.remove(&id);
        if let Some(ended) = run.status.ended_at() {
            self.ended_runs.remove(&(ended, id));
        }
        Some(run)
    }

    /// Deletes a task with its attempts, and its payloads without other references.
    pub fn delete_task(&mut self, id: TaskId) {
        let Some(task) = self.take_task(id) else { return };
        let attempts: Vec<_> = self.attempts.range((id, 0)..=(id, u32::MAX)).map(|(key, _)| *key).collect();
        for key in attempts {
            self.attempts.remove(&key);
        }
        self.given.retain(|(task, ..), _| *task != id);
        self.forget_calls(id);
        self.delete_unused(task_payloads(&task));
    }

    /// Deletes a run whose steps and journal are gone, and its payloads without other references.
    pub fn delete_run(&mut self, id: RunId) {
        let Some(run) = self.take_run(id) else { return };
        self.forget_account(&kapelle_core::Account::Run(id));
        self.delete_unused(run_payloads(&run));
    }

    fn delete_unused(&mut self, payloads: [Option<PayloadId>; 2]) {
        for id in payloads.into_iter().flatten() {
            if self.uses.get(&id).is_none_or(|uses| *uses == 0) {
                self.uses.remove(&id);
                self.payloads.remove(&id);
            }
        }
    }
}
