//! Limits for each concurrency key: tasks that may start, that wait, and that follow.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, TaskError, TaskId,
    limit::{Admission, KeyLimit},
    mutant::{Mutant, planted},
    task::{Cancel, Hold, HoldReason, Lift, Refuse, Task, TaskState},
};
use kapelle_store::{GateKind, HeldPlace, Lane, StoreError};

use super::{lanes::lane_of, limits::KeyGroup, state::LoopState, tasks};

/// Limit of tasks that a turn holds for their key; the rest stays ready until the next one.
const HOLDS_MAX: usize = 512;

/// A lane and key in which a place may have become free.
pub(super) type Freed = (Lane, Name);

/// Returns the limits of a key of a lane: its worker's and its queue's.
pub(super) fn key_limits(state: &LoopState, lane: &Lane, key: &Name) -> Vec<(KeyGroup, KeyLimit)> {
    let of_worker = state.host_workers.spec(&state.rows, lane.tenant, &lane.worker).and_then(|spec| spec.per_key);
    let of_queue = state.rows.options.queues.get(&lane.queue).and_then(|queue| queue.per_key);
    let group = |kind, name: &Name| KeyGroup { tenant: lane.tenant, kind, name: name.clone(), key: key.clone() };
    let of_worker = of_worker.map(|limit| (group(GateKind::Worker, &lane.worker), limit));
    of_worker.into_iter().chain(of_queue.map(|limit| (group(GateKind::Queue, &lane.queue), limit))).collect()
}

/// Says whether this turn has held the maximum of tasks, so that lanes with key limits wait for the next one.
pub(super) fn held_enough(state: &mut LoopState, lane: &Lane) -> bool {
    if state.scratch.held.len() < HOLDS_MAX {
        return false;
    }
    let limited = state.rows.options.queues.get(&lane.queue).is_some_and(|queue| queue.per_key.is_some())
        || state.host_workers.spec(&state.rows, lane.tenant, &lane.worker).is_some_and(|spec| spec.per_key.is_some());
    state.scratch.more_held |= limited;
    limited
}

/// Tells whether a ready task may start beside the others of its key. Otherwise it is no longer ready.
pub(super) fn admit(state: &mut LoopState, task: &Task) -> Result<bool, StoreError> {
    let Some(key) = &task.key else { return Ok(true) };
    for (group, limit) in key_limits(state, &lane_of(task), key) {
        loop {
            match limit.admit(task.id, state.limits.running_of(&group)) {
                Admission::Start => break,
                Admission::Replace(oldest) => replace(state, oldest, task)?,
                Admission::Wait => {
                    if let Ok(event) = (Hold { reason: HoldReason::KeyLimit }).decide(task) {
                        state.scratch.held.push(task.id);
                        tasks::change(state, task.id, &event)?;
                    }
                    return Ok(false);
                }
                Admission::Reject => {
                    let error = Arc::new(busy(&group, limit));
                    if let Ok(event) = (Refuse { error }).decide(task, state.rows.now) {
                        tasks::change(state, task.id, &event)?;
                    }
                    return Ok(false);
                }
                Admission::Superseded => {
                    let reason = Arc::from(format!("a newer task of the key `{key}` is running"));
                    if let Ok(event) = (Cancel { reason }).decide(task, state.rows.now) {
                        tasks::change(state, task.id, &event)?;
                    }
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// Cancels the oldest running task of a key, as a newer one takes its place.
pub(super) fn replace(state: &mut LoopState, oldest: TaskId, newer: &Task) -> Result<(), StoreError> {
    let reason = Arc::from(format!("{} of the same key took its place", newer.id));
    let decided = match state.rows.load(oldest)?.then(|| state.rows.cache.task(oldest)).flatten() {
        Some(task) => Cancel { reason }.decide(task, state.rows.now).ok(),
        None => None,
    };
    match decided {
        Some(event) => tasks::change(state, oldest, &event),
        // It has ended meanwhile, and occupies no place.
        None => {
            state.limits.give_back(oldest);
            Ok(())
        }
    }
}

/// Makes room for a task that has just become ready. Where the newest wins it does not wait for a slot: the slot may be
/// the one that it takes over.
pub(super) fn make_room(state: &mut LoopState, task: &Task) -> Result<(), StoreError> {
    let Some(key) = &task.key else { return Ok(()) };
    for (group, limit) in key_limits(state, &lane_of(task), key) {
        while let Admission::Replace(oldest) = limit.admit(task.id, state.limits.running_of(&group)) {
            replace(state, oldest, task)?;
        }
    }
    Ok(())
}

/// Returns the error of a task of that key when its limit is reached and the rule is to refuse.
pub(super) fn refused(state: &LoopState, lane: &Lane, key: Option<&Name>, more: usize) -> Option<TaskError> {
    let limits = key_limits(state, lane, key?);
    let full = |(group, limit): &(KeyGroup, KeyLimit)| {
        limit.when_full == kapelle_core::limit::WhenFull::Reject
            && state.limits.running_of(group).len() + more >= limit.limit as usize
    };
    limits.iter().find(|found| full(found)).map(|(group, limit)| busy(group, *limit))
}

/// Checks every key under which tasks are held: limits may have changed, or places may be free.
pub(super) fn sweep_keys(state: &mut LoopState) -> Result<(), StoreError> {
    for (lane, key) in state.rows.store.held_lanes(HoldReason::KeyLimit)? {
        state.scratch.freed.extend(key.map(|key| (lane, key)));
    }
    Ok(())
}

/// Lifts held tasks where places of their key have become free.
pub(super) fn lift_keys(state: &mut LoopState) -> Result<(), StoreError> {
    let mut freed = std::mem::take(&mut state.scratch.freed);
    freed.sort_unstable();
    freed.dedup();
    for (lane, key) in freed {
        let limits = key_limits(state, &lane, &key);
        if limits.is_empty() && state.host_workers.spec(&state.rows, lane.tenant, &lane.worker).is_some() {
            // There is no limit any more.
            let place = HeldPlace { tenant: lane.tenant, queue: None, worker: Some(&lane.worker), key: Some(&key) };
            if lift(state, place, HOLDS_MAX)? == HOLDS_MAX {
                state.scratch.unlifted.push((lane, key));
            }
            continue;
        }
        for (group, limit) in limits {
            let room = (limit.limit as usize).saturating_sub(state.limits.running_of(&group).len());
            let (queue, worker) = match group.kind {
                GateKind::Queue => (Some(&group.name), None),
                GateKind::Worker => (None, Some(&group.name)),
            };
            let place = HeldPlace { tenant: lane.tenant, queue, worker, key: Some(&key) };
            if room > 0 && !planted(Mutant::KeyNotLifted) {
                lift(state, place, room)?;
            }
        }
    }
    Ok(())
}

/// Lifts at most that many held tasks of a place. Returns their number.
pub(super) fn lift(state: &mut LoopState, place: HeldPlace<'_>, most: usize) -> Result<usize, StoreError> {
    // Rows that this turn changed are still found, so a few more are read until there are enough others.
    let mut ask = most + 16;
    let found = loop {
        let stored = state.rows.store.held_in(HoldReason::KeyLimit, place, u32::try_from(ask).unwrap_or(u32::MAX))?;
        let all = stored.len() < ask;
        let unchanged = |task: &Task| !state.rows.cache.changed_tasks.contains_key(&task.id);
        let found: Vec<Task> = stored.into_iter().filter(unchanged).collect();
        if all || found.len() >= most {
            break found;
        }
        ask *= 2;
    };
    let fresh = state.scratch.held.iter().filter_map(|id| state.rows.cache.task(*id)).filter(|task| fits(task, place));
    let mut held: Vec<(i64, Task)> =
        found.into_iter().chain(fresh.cloned()).filter_map(|task| Some((rank(&task)?, task))).collect();
    held.sort_unstable_by_key(|(rank, task)| (*rank, task.id));
    held.dedup_by_key(|(_, task)| task.id);
    let mut lifted = 0;
    for (_, task) in held.into_iter().take(most) {
        let id = task.id;
        if state.rows.load(id)?
            && let Some(task) = state.rows.cache.task(id)
            && let Ok(event) = Lift.decide(task)
        {
            state.scratch.held.retain(|other| *other != id);
            tasks::change(state, id, &event)?;
            lifted += 1;
        }
    }
    Ok(lifted)
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
