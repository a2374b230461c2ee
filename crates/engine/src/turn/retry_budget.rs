//! Retry budgets of failing workers.

use kapelle_core::{
    Name, TaskId, TenantId, Timestamp,
    retry_budget::RetryBudget,
    task::{HoldReason, Lift, StateKind, Task, TaskEvent, TaskState},
};
use kapelle_store::{HeldPlace, StoreError};

use std::collections::BTreeMap;

use super::{
    part::{Due, Part, Undo},
    rows::Rows,
    state::LoopState,
    tasks,
};

/// Limit of retries lifted in one turn for each worker.
const LIFTS_MAX: usize = 64;

/// Budget of one worker, kept only while the worker fails.
#[derive(Debug, Clone)]
pub(super) struct WorkerRetries {
    bucket: RetryBudget,
    /// Whether retries may be held for it.
    waiting: bool,
}

impl WorkerRetries {
    fn new(now: Timestamp) -> WorkerRetries {
        WorkerRetries { bucket: RetryBudget::full(now), waiting: false }
    }
}

/// Failing workers and their budgets. Small, and usually empty.
#[derive(Debug, Default)]
pub(super) struct RetryBudgets(Undo<BTreeMap<(TenantId, Name), WorkerRetries>>);

impl Part for RetryBudgets {
    /// Checks retries held from before the start.
    fn prime(&mut self, rows: &mut Rows) -> Result<(), StoreError> {
        for (lane, _) in rows.store.held_lanes(HoldReason::RetryBudget)? {
            let place = (lane.tenant, lane.worker);
            self.0.change().entry(place).or_insert_with(|| WorkerRetries::new(rows.now)).waiting = true;
        }
        Ok(())
    }

    fn forget(&mut self, _rows: &mut Rows) {
        self.0.forget();
    }

    fn committed(&mut self) {
        self.0.committed();
    }

    fn next_due(&self) -> Due {
        let waiting = self.0.values().filter(|retries| retries.waiting);
        Due { wall: waiting.map(|retries| retries.bucket.next_at()).min(), steady: None }
    }
}

impl RetryBudgets {
    fn of(&mut self, task: &Task) -> Option<&mut WorkerRetries> {
        let place = (task.tenant, task.worker.clone());
        if self.0.contains_key(&place) { self.0.change().get_mut(&place) } else { None }
    }

    /// Makes a due retry ready, unless it has to wait for its budget; then returns the other event.
    pub(super) fn budget_retry(&mut self, rows: &Rows, id: TaskId, event: &TaskEvent) -> Option<TaskEvent> {
        if self.0.is_empty() {
            return None;
        }
        let (TaskEvent::Ready { rank }, Some(task)) = (event, rows.cache.task(id)) else { return None };
        let TaskState::Retrying { error, .. } = &task.state else { return None };
        if !RetryBudget::concerns(error.category) {
            return None;
        }
        let share = self.of(task)?;
        if !share.waiting && share.bucket.take(rows.now) {
            return None;
        }
        share.waiting = true;
        Some(TaskEvent::Held { reason: HoldReason::RetryBudget, rank: *rank })
    }

    /// Updates the budget of a failing worker.
    pub(super) fn note(&mut self, now: Timestamp, before: StateKind, task: &Task) {
        match &task.state {
            TaskState::Retrying { error, .. } if RetryBudget::concerns(error.category) => {
                let place = (task.tenant, task.worker.clone());
                if !self.0.contains_key(&place) {
                    self.0.change().insert(place, WorkerRetries::new(now));
                }
            }
            TaskState::Succeeded { .. } if !self.0.is_empty() && before == StateKind::Running => {
                if let Some(share) = self.of(task) {
                    share.bucket.success(now);
                }
            }
            _ => {}
        }
    }

    /// Records the claim of a task.
    pub(super) fn note_attempt(&mut self, now: Timestamp, task: &Task) {
        if self.0.is_empty() || task.epoch > 0 {
            return;
        }
        if let Some(share) = self.of(task) {
            share.bucket.first_attempt(now);
        }
    }
}

/// Lifts retries, as many as there are tokens for.
pub(super) fn lift_retries(state: &mut LoopState) -> Result<(), StoreError> {
    if state.retry_budgets.0.is_empty() {
        return Ok(());
    }
    let waiting: Vec<(TenantId, Name)> =
        state.retry_budgets.0.iter().filter(|(_, share)| share.waiting).map(|(place, _)| place.clone()).collect();
    for (tenant, worker) in waiting {
        lift_retries_of(state, tenant, &worker)?;
    }
    let now = state.rows.now;
    let over = |share: &WorkerRetries| !share.waiting && share.bucket.next_at() <= now && share.bucket.is_full();
    if state.retry_budgets.0.values().any(over) {
        state.retry_budgets.0.change().retain(|_, share| !over(share));
    }
    Ok(())
}

pub(super) fn lift_retries_of(state: &mut LoopState, tenant: TenantId, worker: &Name) -> Result<(), StoreError> {
    let now = state.rows.now;
    let place = (tenant, worker.clone());
    if state.retry_budgets.0.get(&place).is_none_or(|share| share.bucket.next_at() > now) {
        return Ok(());
    }
    let held = HeldPlace { tenant, queue: None, worker: Some(worker), key: None };
    let found = state.rows.store.held_in(HoldReason::RetryBudget, held, LIFTS_MAX as u32)?;
    let all = found.len() < LIFTS_MAX;
    let mut left = false;
    for task in found {
        if state.rows.cache.changed_tasks.contains_key(&task.id) {
            continue;
        }
        let taken = state.retry_budgets.0.change().get_mut(&place).is_some_and(|share| share.bucket.take(now));
        if !taken {
            left = true;
            break;
        }
        if state.rows.load(task.id)?
            && let Some(task) = state.rows.cache.task(task.id)
            && let Ok(event) = Lift.decide(task)
        {
            tasks::change(state, task.id, &event)?;
        }
    }
    // Retries that were held in this very turn are found by the next.
    let fresh = state.rows.cache.changed_tasks.values().any(|changed| {
        let held = matches!(changed.row.state, TaskState::Held { reason: HoldReason::RetryBudget, .. });
        held && changed.row.worker == *worker
    });
    if let Some(share) = state.retry_budgets.0.change().get_mut(&place) {
        share.waiting = left || !all || fresh;
    }
    Ok(())
}
