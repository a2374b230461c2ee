//! Limits for each key: who may start beside those that run, who waits, and who comes after them.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, TaskError, TaskId,
    limit::{Admission, KeyLimit},
    mutant::{Mutant, planted},
    task::{Cancel, Hold, HoldReason, Lift, Refuse, Task, TaskState},
};
use kapelle_store::{GateKind, HeldPlace, Lane, StoreError};

use super::{lanes::lane_of, limits::KeyGroup, state::LoopState};

/// No turn holds more tasks than this for their key: the rest stay ready and are looked at in the next one.
const HOLDS_MAX: usize = 512;

/// A place in a lane under a key, which may have become free.
pub(super) type Freed = (Lane, Name);

impl LoopState {
    /// The limits that a key of a lane is under: that of its worker, and that of its queue.
    fn key_limits(&self, lane: &Lane, key: &Name) -> Vec<(KeyGroup, KeyLimit)> {
        let of_worker = self.spec(lane.tenant, &lane.worker).and_then(|spec| spec.per_key);
        let of_queue = self.options.queues.get(&lane.queue).and_then(|queue| queue.per_key);
        let group = |kind, name: &Name| KeyGroup { tenant: lane.tenant, kind, name: name.clone(), key: key.clone() };
        let of_worker = of_worker.map(|limit| (group(GateKind::Worker, &lane.worker), limit));
        of_worker.into_iter().chain(of_queue.map(|limit| (group(GateKind::Queue, &lane.queue), limit))).collect()
    }

    /// Whether so many tasks were held in this turn that lanes with a limit for each key have to wait for the next.
    pub(super) fn held_enough(&mut self, lane: &Lane) -> bool {
        if self.scratch.held.len() < HOLDS_MAX {
            return false;
        }
        let limited = self.options.queues.get(&lane.queue).is_some_and(|queue| queue.per_key.is_some())
            || self.spec(lane.tenant, &lane.worker).is_some_and(|spec| spec.per_key.is_some());
        self.scratch.more_held |= limited;
        limited
    }

    /// Whether a ready task may start beside the others of its key. When it may not, it is no longer ready.
    pub(super) fn admit(&mut self, task: &Task) -> Result<bool, StoreError> {
        let Some(key) = &task.key else { return Ok(true) };
        for (group, limit) in self.key_limits(&lane_of(task), key) {
            loop {
                match limit.admit(task.id, self.limits.running_of(&group)) {
                    Admission::Start => break,
                    Admission::Replace(oldest) => self.replace(oldest, task)?,
                    Admission::Wait => {
                        if let Ok(event) = (Hold { reason: HoldReason::KeyLimit }).decide(task) {
                            self.scratch.held.push(task.id);
                            self.change(task.id, &event)?;
                        }
                        return Ok(false);
                    }
                    Admission::Reject => {
                        let error = Arc::new(busy(&group, limit));
                        if let Ok(event) = (Refuse { error }).decide(task, self.scratch.now) {
                            self.change(task.id, &event)?;
                        }
                        return Ok(false);
                    }
                    Admission::Superseded => {
                        let reason = Arc::from(format!("a newer task of the key `{key}` is running"));
                        if let Ok(event) = (Cancel { reason }).decide(task, self.scratch.now) {
                            self.change(task.id, &event)?;
                        }
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Cancels the oldest running task of a key, as a newer one takes its place.
    fn replace(&mut self, oldest: TaskId, newer: &Task) -> Result<(), StoreError> {
        let reason = Arc::from(format!("{} of the same key took its place", newer.id));
        let decided = match self.load(oldest)?.then(|| self.cache.task(oldest)).flatten() {
            Some(task) => Cancel { reason }.decide(task, self.scratch.now).ok(),
            None => None,
        };
        match decided {
            Some(event) => self.change(oldest, &event),
            // It has ended meanwhile, and takes no place.
            None => {
                self.limits.give_back(oldest);
                Ok(())
            }
        }
    }

    /// A task that has just become ready. Where the newest wins it does not wait for a slot to say so: the slot may be
    /// the one that it takes over.
    pub(super) fn make_room(&mut self, task: &Task) -> Result<(), StoreError> {
        let Some(key) = &task.key else { return Ok(()) };
        for (group, limit) in self.key_limits(&lane_of(task), key) {
            while let Admission::Replace(oldest) = limit.admit(task.id, self.limits.running_of(&group)) {
                self.replace(oldest, task)?;
            }
        }
        Ok(())
    }

    /// Why a task of that key would be refused, when the rule is to refuse and as many run as may.
    pub(super) fn refused(&self, lane: &Lane, key: Option<&Name>, more: usize) -> Option<TaskError> {
        let limits = self.key_limits(lane, key?);
        let full = |(group, limit): &(KeyGroup, KeyLimit)| {
            limit.when_full == kapelle_core::limit::WhenFull::Reject
                && self.limits.running_of(group).len() + more >= limit.limit as usize
        };
        limits.iter().find(|found| full(found)).map(|(group, limit)| busy(group, *limit))
    }

    /// Looks at every key under which tasks are held: limits may have changed, or places become free unseen.
    pub(super) fn sweep_keys(&mut self) -> Result<(), StoreError> {
        for (lane, key) in self.store.held_lanes(HoldReason::KeyLimit)? {
            self.scratch.freed.extend(key.map(|key| (lane, key)));
        }
        Ok(())
    }

    /// Puts held tasks back in the order where places of their key have become free.
    pub(super) fn lift_keys(&mut self) -> Result<(), StoreError> {
        let mut freed = std::mem::take(&mut self.scratch.freed);
        freed.sort_unstable();
        freed.dedup();
        for (lane, key) in freed {
            let limits = self.key_limits(&lane, &key);
            if limits.is_empty() && self.spec(lane.tenant, &lane.worker).is_some() {
                // There is no limit any more.
                let place = HeldPlace { tenant: lane.tenant, queue: None, worker: Some(&lane.worker), key: Some(&key) };
                if self.lift(place, HOLDS_MAX)? == HOLDS_MAX {
                    self.scratch.unlifted.push((lane, key));
                }
                continue;
            }
            for (group, limit) in limits {
                let room = (limit.limit as usize).saturating_sub(self.limits.running_of(&group).len());
                let (queue, worker) = match group.kind {
                    GateKind::Queue => (Some(&group.name), None),
                    GateKind::Worker => (None, Some(&group.name)),
                };
                let place = HeldPlace { tenant: lane.tenant, queue, worker, key: Some(&key) };
                if room > 0 && !planted(Mutant::KeyNotLifted) {
                    self.lift(place, room)?;
                }
            }
        }
        Ok(())
    }

    /// Lifts up to so many held tasks of a place; how many it did.
    fn lift(&mut self, place: HeldPlace<'_>, most: usize) -> Result<usize, StoreError> {
        // Rows that this turn changed are still found, so a few more are asked for until there are enough others.
        let mut ask = most + 16;
        let found = loop {
            let stored = self.store.held_in(HoldReason::KeyLimit, place, u32::try_from(ask).unwrap_or(u32::MAX))?;
            let all = stored.len() < ask;
            let unchanged = |task: &Task| !self.cache.changed_tasks.contains_key(&task.id);
            let found: Vec<Task> = stored.into_iter().filter(unchanged).collect();
            if all || found.len() >= most {
                break found;
            }
            ask *= 2;
        };
        let fresh = self.scratch.held.iter().filter_map(|id| self.cache.task(*id)).filter(|task| fits(task, place));
        let mut held: Vec<(i64, Task)> =
            found.into_iter().chain(fresh.cloned()).filter_map(|task| Some((rank(&task)?, task))).collect();
        held.sort_unstable_by_key(|(rank, task)| (*rank, task.id));
        held.dedup_by_key(|(_, task)| task.id);
        let mut lifted = 0;
        for (_, task) in held.into_iter().take(most) {
            let id = task.id;
            if self.load(id)?
                && let Some(task) = self.cache.task(id)
                && let Ok(event) = Lift.decide(task)
            {
                self.scratch.held.retain(|other| *other != id);
                self.change(id, &event)?;
                lifted += 1;
            }
        }
        Ok(lifted)
    }
}

fn rank(task: &Task) -> Option<i64> {
    match task.state {
        TaskState::Held { reason: HoldReason::KeyLimit, rank } => Some(rank),
        _ => None,
    }
}

fn fits(task: &Task, place: HeldPlace<'_>) -> bool {
    task.tenant == place.tenant
        && place.queue.is_none_or(|queue| task.queue == *queue)
        && place.worker.is_none_or(|worker| task.worker == *worker)
        && task.key.as_ref() == place.key
}

fn busy(group: &KeyGroup, limit: KeyLimit) -> TaskError {
    let what = group.kind.as_str();
    let (key, name, most) = (&group.key, &group.name, limit.limit);
    let message =
        format!("{most} tasks of the key `{key}` run already, and {what} `{name}` rejects more (`when_full`)");
    TaskError::new(Category::RateLimited, message).permanent()
}
