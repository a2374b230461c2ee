//! Retries of failing workers, held back to a share of their attempts.

use kapelle_core::{
    Name, TaskId, TenantId, Timestamp,
    retry_budget::RetryBudget,
    task::{HoldReason, Lift, StateKind, Task, TaskEvent, TaskState},
};
use kapelle_store::{HeldPlace, StoreError};

use super::state::LoopState;

/// Retries put back in one turn, at most, for each worker.
const LIFTS_MAX: usize = 64;

/// The share of one worker. There is one only while the worker fails.
#[derive(Debug)]
pub(super) struct WorkerRetries {
    bucket: RetryBudget,
    /// Retries may be held for it.
    waiting: bool,
}

impl WorkerRetries {
    fn new(now: Timestamp) -> WorkerRetries {
        WorkerRetries { bucket: RetryBudget::full(now), waiting: false }
    }
}

impl LoopState {
    /// What is held from before the start is looked at again.
    pub(super) fn prime_retry_budgets(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for (lane, _) in self.store.held_lanes(HoldReason::RetryBudget)? {
            self.retry_budgets.entry((lane.tenant, lane.worker)).or_insert(WorkerRetries::new(now)).waiting = true;
        }
        Ok(())
    }

    /// A retry whose time has come becomes ready, unless it has to wait for its share: what happens then instead.
    pub(super) fn budget_retry(&mut self, id: TaskId, event: &TaskEvent) -> Option<TaskEvent> {
        if self.retry_budgets.is_empty() {
            return None;
        }
        let (TaskEvent::Ready { rank }, Some(task)) = (event, self.cache.task(id)) else { return None };
        let TaskState::Retrying { error, .. } = &task.state else { return None };
        if !RetryBudget::concerns(error.category) {
            return None;
        }
        let share = self.retry_budgets.get_mut(&(task.tenant, task.worker.clone()))?;
        if !share.waiting && share.bucket.take(self.scratch.now) {
            return None;
        }
        share.waiting = true;
        Some(TaskEvent::Held { reason: HoldReason::RetryBudget, rank: *rank })
    }

    /// Keeps account of what a worker does, while it fails.
    pub(super) fn note_retry_budget(&mut self, before: StateKind, task: &Task) {
        let now = self.scratch.now;
        match &task.state {
            TaskState::Retrying { error, .. } if RetryBudget::concerns(error.category) => {
                self.retry_budgets.entry((task.tenant, task.worker.clone())).or_insert(WorkerRetries::new(now));
            }
            TaskState::Succeeded { .. } if !self.retry_budgets.is_empty() && before == StateKind::Running => {
                if let Some(share) = self.retry_budgets.get_mut(&(task.tenant, task.worker.clone())) {
                    share.bucket.success(now);
                }
            }
            _ => {}
        }
    }

    /// A task is claimed.
    pub(super) fn note_attempt(&mut self, task: &Task) {
        if self.retry_budgets.is_empty() || task.epoch > 0 {
            return;
        }
        if let Some(share) = self.retry_budgets.get_mut(&(task.tenant, task.worker.clone())) {
            share.bucket.first_attempt(self.scratch.now);
        }
    }

    /// Puts retries back in the order, as many as there are tokens for.
    pub(super) fn lift_retries(&mut self) -> Result<(), StoreError> {
        if self.retry_budgets.is_empty() {
            return Ok(());
        }
        let mut waiting: Vec<(TenantId, Name)> =
            self.retry_budgets.iter().filter(|(_, share)| share.waiting).map(|(place, _)| place.clone()).collect();
        waiting.sort_unstable();
        for (tenant, worker) in waiting {
            self.lift_retries_of(tenant, &worker)?;
        }
        let now = self.scratch.now;
        self.retry_budgets
            .retain(|_, share| share.waiting || !(share.bucket.next_at() <= now && share.bucket.is_full()));
        Ok(())
    }

    fn lift_retries_of(&mut self, tenant: TenantId, worker: &Name) -> Result<(), StoreError> {
        let now = self.scratch.now;
        let place = (tenant, worker.clone());
        if self.retry_budgets.get(&place).is_none_or(|share| share.bucket.next_at() > now) {
            return Ok(());
        }
        let held = HeldPlace { tenant, queue: None, worker: Some(worker), key: None };
        let found = self.store.held_in(HoldReason::RetryBudget, held, LIFTS_MAX as u32)?;
        let all = found.len() < LIFTS_MAX;
        let mut left = false;
        for task in found {
            if self.cache.changed_tasks.contains_key(&task.id) {
                continue;
            }
            let taken = self.retry_budgets.get_mut(&place).is_some_and(|share| share.bucket.take(now));
            if !taken {
                left = true;
                break;
            }
            if self.load(task.id)?
                && let Some(task) = self.cache.task(task.id)
                && let Ok(event) = Lift.decide(task)
            {
                self.change(task.id, &event)?;
            }
        }
        // Those that were held in this very turn are found by the next.
        let fresh = self.cache.changed_tasks.values().any(|changed| {
            let held = matches!(changed.row.state, TaskState::Held { reason: HoldReason::RetryBudget, .. });
            held && changed.row.worker == *worker
        });
        if let Some(share) = self.retry_budgets.get_mut(&place) {
            share.waiting = left || !all || fresh;
        }
        Ok(())
    }

    /// When the next retry that waits for its share may go on.
    pub(super) fn next_retry_lift(&self) -> Option<Timestamp> {
        self.retry_budgets.values().filter(|share| share.waiting).map(|share| share.bucket.next_at()).min()
    }
}
