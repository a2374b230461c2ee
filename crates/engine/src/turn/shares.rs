//! Retries of failing workers, held back to a share of their attempts.

use kapelle_core::{
    Name, TaskId, TenantId, Timestamp,
    share::RetryShare,
    task::{HoldReason, Lift, StateKind, Task, TaskEvent, TaskState},
};
use kapelle_store::{HeldPlace, StoreError};

use super::turns::Turns;

/// Retries put back in one turn, at most, for each worker.
const LIFTS_MAX: usize = 64;

/// The share of one worker. There is one only while the worker fails.
#[derive(Debug)]
pub(super) struct Share {
    bucket: RetryShare,
    /// Retries may be held for it.
    waiting: bool,
}

impl Share {
    fn new(now: Timestamp) -> Share {
        Share { bucket: RetryShare::full(now), waiting: false }
    }
}

impl Turns {
    /// What is held from before the start is looked at again.
    pub(super) fn recover_shares(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for (lane, _) in self.store.held_lanes(HoldReason::RetryShare)? {
            self.shares.entry((lane.tenant, lane.worker)).or_insert(Share::new(now)).waiting = true;
        }
        Ok(())
    }

    /// A retry whose time has come becomes ready, unless it has to wait for its share: what happens then instead.
    pub(super) fn share_retry(&mut self, id: TaskId, event: &TaskEvent) -> Option<TaskEvent> {
        if self.shares.is_empty() {
            return None;
        }
        let (TaskEvent::Ready { rank }, Some(task)) = (event, self.cache.task(id)) else { return None };
        let TaskState::Retrying { error, .. } = &task.state else { return None };
        if !RetryShare::concerns(error.category) {
            return None;
        }
        let share = self.shares.get_mut(&(task.tenant, task.worker.clone()))?;
        if !share.waiting && share.bucket.take(self.scratch.now) {
            return None;
        }
        share.waiting = true;
        Some(TaskEvent::Held { reason: HoldReason::RetryShare, rank: *rank })
    }

    /// Keeps account of what a worker does, while it fails.
    pub(super) fn note_share(&mut self, before: StateKind, task: &Task) {
        let now = self.scratch.now;
        match &task.state {
            TaskState::Retrying { error, .. } if RetryShare::concerns(error.category) => {
                self.shares.entry((task.tenant, task.worker.clone())).or_insert(Share::new(now));
            }
            TaskState::Succeeded { .. } if !self.shares.is_empty() && before == StateKind::Running => {
                if let Some(share) = self.shares.get_mut(&(task.tenant, task.worker.clone())) {
                    share.bucket.success(now);
                }
            }
            _ => {}
        }
    }

    /// A task is claimed.
    pub(super) fn note_attempt(&mut self, task: &Task) {
        if self.shares.is_empty() || task.epoch > 0 {
            return;
        }
        if let Some(share) = self.shares.get_mut(&(task.tenant, task.worker.clone())) {
            share.bucket.first_attempt(self.scratch.now);
        }
    }

    /// Puts retries back in the order, as many as there are tokens for.
    pub(super) fn lift_retries(&mut self) -> Result<(), StoreError> {
        if self.shares.is_empty() {
            return Ok(());
        }
        let mut waiting: Vec<(TenantId, Name)> =
            self.shares.iter().filter(|(_, share)| share.waiting).map(|(place, _)| place.clone()).collect();
        waiting.sort_unstable();
        for (tenant, worker) in waiting {
            self.lift_retries_of(tenant, &worker)?;
        }
        let now = self.scratch.now;
        self.shares.retain(|_, share| share.waiting || !(share.bucket.next_at() <= now && share.bucket.is_full()));
        Ok(())
    }

    fn lift_retries_of(&mut self, tenant: TenantId, worker: &Name) -> Result<(), StoreError> {
        let now = self.scratch.now;
        let place = (tenant, worker.clone());
        if self.shares.get(&place).is_none_or(|share| share.bucket.next_at() > now) {
            return Ok(());
        }
        let held = HeldPlace { tenant, queue: None, worker: Some(worker), key: None };
        let found = self.store.held_in(HoldReason::RetryShare, held, LIFTS_MAX as u32)?;
        let all = found.len() < LIFTS_MAX;
        let mut left = false;
        for task in found {
            if self.cache.changed_tasks.contains_key(&task.id) {
                continue;
            }
            let taken = self.shares.get_mut(&place).is_some_and(|share| share.bucket.take(now));
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
            let held = matches!(changed.row.state, TaskState::Held { reason: HoldReason::RetryShare, .. });
            held && changed.row.worker == *worker
        });
        if let Some(share) = self.shares.get_mut(&place) {
            share.waiting = left || !all || fresh;
        }
        Ok(())
    }

    /// When the next retry that waits for its share may go on.
    pub(super) fn next_share(&self) -> Option<Timestamp> {
        self.shares.values().filter(|share| share.waiting).map(|share| share.bucket.next_at()).min()
    }
}
