//! Ready tasks meet free slots: those of this process, and those of worker hosts.

use std::collections::HashMap;

use kapelle_core::{
    DurationMs, RunId,
    task::{Claim, Task, TaskEvent, TaskState},
};
use kapelle_store::{Lane, StoreError};

use super::{
    claim_filter::{ClaimFilter, ClaimedTask},
    command::{self, Decide},
    effect::{Dispatch, Effect},
    runs::Answer,
    state::{CHILDREN_MAX, LoopState},
};

/// Rows read at a time when a window has run empty.
const REFILL: u32 = 1_024;

impl Decide for command::Claim {
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<ClaimedTask>> {
        state.claim_remote(self.host, &self.wanted, self.most)
    }
}

impl LoopState {
    /// Starts ready tasks while there are slots here.
    pub(super) fn fill_slots(&mut self) -> Result<(), StoreError> {
        if self.draining {
            return Ok(());
        }
        let mut open: Vec<usize> = Vec::new();
        for at in 0..self.lanes.len() {
            let lane = self.lanes.lane(at);
            if !self.meets(&lane.requires) || self.rate_admission.waits(at, self.scratch.steady_ms) {
                continue;
            }
            let (tenant, worker) = (lane.tenant, lane.worker.clone());
            if let Some(spec) = self.directory.local(tenant, &worker) {
                self.limits.worker(tenant, &spec);
                open.push(at);
            }
        }
        while let Some(task) = self.next_ready(&open, true)? {
            if !self.may_begin(&task)? {
                continue;
            }
            let claim = Claim { nonce: (self.random)(), host: 0 };
            let Ok(event) = claim.decide(&task, self.scratch.now) else { continue };
            self.limits.take(&task, task.epoch + 1, true);
            self.note_attempt(&task);
            self.cache.evolve_task(task.id, &event);
            self.dispatch(&task, &event);
        }
        Ok(())
    }

    /// Whether a ready task may begin: a provider takes its call, and its key has a place.
    fn may_begin(&mut self, task: &Task) -> Result<bool, StoreError> {
        if !self.has_right(task) {
            return Ok(false);
        }
        let admitted = self.admit(task)?;
        if !admitted {
            self.end_right(task.id);
        }
        Ok(admitted)
    }

    /// The task that is next among those lanes, taken out of its window.
    fn next_ready(&mut self, lanes: &[usize], here: bool) -> Result<Option<Task>, StoreError> {
        loop {
            let mut best: Option<(super::lanes::Place, usize)> = None;
            for &at in lanes {
                let lane = self.lanes.lane(at);
                let room = if here { self.limits.room(lane) } else { !self.limits.is_paused(lane) };
                let room = room && !self.rate_admission.waits(at, self.scratch.steady_ms);
                if !room || (!self.scratch.held.is_empty() && self.held_enough(&lane.clone())) {
                    continue;
                }
                if let Some(after) = self.lanes.wants_refill(at) {
                    self.refill(at, after)?;
                }
                if let Some(first) = self.lanes.first(at)
                    && best.is_none_or(|(place, _)| first < place)
                {
                    best = Some((first, at));
                }
            }
            let Some((place, at)) = best else { return Ok(None) };
            self.lanes.pop(at);
            // In a store that others write to, a window can be behind; the row decides.
            if self.load(place.1)?
                && let Some(task) = self.cache.task(place.1)
                && matches!(task.state, TaskState::Ready { .. })
            {
                let task = task.clone();
                if self.hold_paused(&task)? {
                    if self.scratch.paused >= CHILDREN_MAX {
                        return Ok(None);
                    }
                    continue;
                }
                return Ok(Some(task));
            }
        }
    }

    fn refill(&mut self, at: usize, after: Option<super::lanes::Place>) -> Result<(), StoreError> {
        let lane: Lane = self.lanes.lane(at).clone();
        let most = REFILL.min(u32::try_from(self.options.window).unwrap_or(REFILL));
        let tasks = self.store.ready(&lane, after, most)?;
        let exhausted = tasks.len() < most as usize;
        let mut places = Vec::with_capacity(tasks.len());
        for task in tasks {
            let TaskState::Ready { rank } = task.state else { continue };
            // What this turn has changed already is newer than the row.
            if self.cache.changed_tasks.contains_key(&task.id) {
                continue;
            }
            places.push((rank, task.id));
            self.cache.tasks.insert(task.id, task);
        }
        self.lanes.refill(at, &places, exhausted);
        Ok(())
    }

    fn dispatch(&mut self, task: &Task, event: &TaskEvent) {
        let TaskEvent::Claimed(lease) = event else { return };
        let (timeout, last_attempt, step) = self.terms(task);
        self.notify_claimed(task, lease);
        self.scratch.effects.push(Effect::Dispatch(Dispatch {
            task: task.id,
            tenant: task.tenant,
            worker: task.worker.clone(),
            input: task.input.clone(),
            lease: *lease,
            last_attempt,
            recorded: task.policy.recorded,
            timeout,
            step,
        }));
    }

    /// What an attempt is told beside its input: how long it may take, whether it is the last, which step it is.
    fn terms(&self, task: &Task) -> (DurationMs, bool, Option<(RunId, String)>) {
        let step = task.origin.as_ref().map(|origin| (origin.run, origin.path.to_string()));
        let timeout = task.policy.timeout.unwrap_or(self.options.default_timeout);
        (timeout, task.failures + 1 >= task.policy.retry.max_attempts, step)
    }

    /// How many ready tasks a worker host could be given, at most `most`. `taken` counts, by lane, what others were
    /// promised before it.
    pub(crate) fn on_offer(&self, wanted: &ClaimFilter, most: u32, taken: &mut HashMap<usize, usize>) -> usize {
        let mut found = 0;
        let offered = |at: &usize| {
            let lane = self.lanes.lane(*at);
            wanted.includes(lane)
                && !self.limits.is_paused(lane)
                && !self.rate_admission.waits(*at, self.scratch.steady_ms)
        };
        for at in (0..self.lanes.len()).filter(offered) {
            // What is only in the store is not counted: it is enough for everybody, or the next look will tell.
            let there = if self.lanes.wants_refill(at).is_some() { usize::MAX } else { self.lanes.count(at) };
            let promised = taken.entry(at).or_default();
            let share = there.saturating_sub(*promised).min(most as usize - found);
            *promised = promised.saturating_add(share);
            found += share;
            if found == most as usize {
                break;
            }
        }
        found
    }

    /// Gives tasks to a worker host.
    fn claim_remote(&mut self, host: u32, wanted: &ClaimFilter, most: u32) -> Answer<Vec<ClaimedTask>> {
        let lanes: Vec<usize> = (0..self.lanes.len()).filter(|&at| wanted.includes(self.lanes.lane(at))).collect();
        let mut claimed = Vec::new();
        while claimed.len() < most as usize {
            let Some(task) = self.next_ready(&lanes, false)? else { break };
            if !self.may_begin(&task)? {
                continue;
            }
            let claim = Claim { nonce: (self.random)(), host: host.max(1) };
            let Ok(event) = claim.decide(&task, self.scratch.now) else { continue };
            let TaskEvent::Claimed(lease) = event else { continue };
            self.limits.take(&task, lease.epoch, false);
            self.note_attempt(&task);
            self.cache.evolve_task(task.id, &event);
            self.lease(&task, &lease);
            self.notify_claimed(&task, &lease);
            let (timeout, last_attempt, step) = self.terms(&task);
            let recorded = task.policy.recorded;
            let Task { id, tenant, worker, input, .. } = task;
            claimed.push(ClaimedTask { id, tenant, worker, input, lease, timeout, last_attempt, recorded, step });
        }
        Ok(Ok(claimed))
    }
}
