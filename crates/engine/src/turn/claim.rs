//! Claims: ready tasks for free slots, those of this process and those of worker hosts.

use std::collections::HashMap;

use kapelle_core::{
    DurationMs, RunId,
    task::{Claim, Task, TaskEvent, TaskState},
    worker::WorkerSpec,
};
use kapelle_store::{Lane, StoreError};

use super::{
    claim_filter::{ClaimFilter, ClaimedTask},
    command::{self, Command, Decide, Input, Reply, Ticket},
    control,
    effect::{Dispatch, Effect},
    key_limits, rate_admission,
    runs::Answer,
    state::{CHILDREN_MAX, LoopState},
    worker_rates,
};
use crate::error::EngineError;

/// Rows read at a time when a window is empty.
const REFILL: u32 = 1_024;

impl Decide for command::Claim {
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<ClaimedTask>> {
        claim_remote(state, self.host, &self.wanted, self.most)
    }
}

/// Starts ready tasks while there are slots here.
pub(super) fn fill_slots(state: &mut LoopState) -> Result<(), StoreError> {
    if state.draining {
        return Ok(());
    }
    let mut open: Vec<usize> = Vec::new();
    for at in 0..state.lanes.len() {
        let lane = state.lanes.lane(at);
        if !state.rows.meets(&lane.requires) || state.rate_admission.waits(at, state.rows.steady_ms) {
            continue;
        }
        let (tenant, worker) = (lane.tenant, lane.worker.clone());
        if let Some(spec) = state.rows.directory.local(tenant, &worker) {
            state.limits.worker(tenant, &spec);
            open.push(at);
        }
    }
    while let Some(task) = next_ready(state, &open, true)? {
        let spec = state.host_workers.spec(&state.rows, task.tenant, &task.worker);
        if !may_begin(state, &task, spec.as_deref())? {
            continue;
        }
        let claim = Claim { nonce: state.rows.random(), host: 0 };
        let Ok(event) = claim.decide(&task, state.rows.now) else { continue };
        state.worker_rates.note_start(&task, spec.as_deref(), state.rows.steady_ms);
        state.limits.take(&task, task.epoch + 1, true);
        state.retry_budgets.note_attempt(state.rows.now, &task);
        state.rows.cache.evolve_task(task.id, &event);
        dispatch(state, &task, &event);
    }
    Ok(())
}

/// Tells whether a ready task may begin: its worker's rate allows it, a provider has room for its call, and its key has a
/// place.
fn may_begin(state: &mut LoopState, task: &Task, spec: Option<&WorkerSpec>) -> Result<bool, StoreError> {
    if !worker_rates::has_room(state, task, spec) || !rate_admission::has_right(state, task, spec) {
        return Ok(false);
    }
    let admitted = key_limits::admit(state, task)?;
    if !admitted {
        state.rate_admission.end_right(&state.rows, task.id);
    }
    Ok(admitted)
}

/// Takes the next task of those lanes out of its window.
pub(super) fn next_ready(state: &mut LoopState, lanes: &[usize], here: bool) -> Result<Option<Task>, StoreError> {
    loop {
        let mut best: Option<(super::lanes::Place, usize)> = None;
        for &at in lanes {
            let lane = state.lanes.lane(at);
            let room = if here { state.limits.room(lane) } else { !state.limits.is_paused(lane) };
            let room = room && !state.rate_admission.waits(at, state.rows.steady_ms);
            if !room || (!state.scratch.held.is_empty() && key_limits::held_enough(state, &lane.clone())) {
                continue;
            }
            if let Some(after) = state.lanes.wants_refill(at) {
                refill(state, at, after)?;
            }
            if let Some(first) = state.lanes.first(at)
                && best.is_none_or(|(place, _)| first < place)
            {
                best = Some((first, at));
            }
        }
        let Some((place, at)) = best else { return Ok(None) };
        state.lanes.pop(at);
        // In a shared store a window can be outdated; the row decides.
        if state.rows.load(place.1)?
            && let Some(task) = state.rows.cache.task(place.1)
            && matches!(task.state, TaskState::Ready { .. })
        {
            let task = task.clone();
            if control::hold_paused(state, &task)? {
                if state.scratch.paused >= CHILDREN_MAX {
                    return Ok(None);
                }
                continue;
            }
            return Ok(Some(task));
        }
    }
}

pub(super) fn refill(state: &mut LoopState, at: usize, after: Option<super::lanes::Place>) -> Result<(), StoreError> {
    let lane: Lane = state.lanes.lane(at).clone();
    let most = REFILL.min(u32::try_from(state.rows.options.window).unwrap_or(REFILL));
    let tasks = state.rows.store.ready(&lane, after, most)?;
    let exhausted = tasks.len() < most as usize;
    let mut places = Vec::with_capacity(tasks.len());
    for task in tasks {
        let TaskState::Ready { rank } = task.state else { continue };
        // A row that this turn has changed already is newer than the row.
        if state.rows.cache.changed_tasks.contains_key(&task.id) {
            continue;
        }
        places.push((rank, task.id));
        state.rows.cache.tasks.insert(task.id, task);
    }
    state.lanes.refill(at, &places, exhausted);
    Ok(())
}

pub(super) fn dispatch(state: &mut LoopState, task: &Task, event: &TaskEvent) {
    let TaskEvent::Claimed(lease) = event else { return };
    let (timeout, last_attempt, step) = terms(state, task);
    state.rows.notify_claimed(task, lease);
    state.rows.effects.push(Effect::Dispatch(Dispatch {
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

/// Returns the terms of an attempt besides its input: its timeout, whether it is the last, its step.
pub(super) fn terms(state: &LoopState, task: &Task) -> (DurationMs, bool, Option<(RunId, String)>) {
    let step = task.origin.as_ref().map(|origin| (origin.run, origin.path.to_string()));
    let timeout = task.policy.timeout.unwrap_or(state.rows.options.default_timeout);
    (timeout, task.failures + 1 >= task.policy.retry.max_attempts, step)
}

/// Claims tasks for a worker host.
pub(super) fn claim_remote(
    state: &mut LoopState,
    host: u32,
    wanted: &ClaimFilter,
    most: u32,
) -> Answer<Vec<ClaimedTask>> {
    let lanes: Vec<usize> = (0..state.lanes.len()).filter(|&at| accepts(state, wanted, at)).collect();
    let mut claimed = Vec::new();
    while claimed.len() < most as usize {
        let Some(task) = next_ready(state, &lanes, false)? else { break };
        let spec = state.host_workers.spec(&state.rows, task.tenant, &task.worker);
        if !may_begin(state, &task, spec.as_deref())? {
            continue;
        }
        let claim = Claim { nonce: state.rows.random(), host: host.max(1) };
        let Ok(event) = claim.decide(&task, state.rows.now) else { continue };
        let TaskEvent::Claimed(lease) = event else { continue };
        state.worker_rates.note_start(&task, spec.as_deref(), state.rows.steady_ms);
        state.limits.take(&task, lease.epoch, false);
        state.retry_budgets.note_attempt(state.rows.now, &task);
        state.rows.cache.evolve_task(task.id, &event);
        state.leases.give(&state.rows, &task, &lease);
        state.rows.notify_claimed(&task, &lease);
        let (timeout, last_attempt, step) = terms(state, &task);
        let recorded = task.policy.recorded;
        let Task { id, tenant, worker, input, .. } = task;
        claimed.push(ClaimedTask { id, tenant, worker, input, lease, timeout, last_attempt, recorded, step });
    }
    Ok(Ok(claimed))
}

/// Tells whether a worker host takes the tasks of a lane.
fn accepts(state: &LoopState, wanted: &ClaimFilter, at: usize) -> bool {
    let lane = state.lanes.lane(at);
    let is_local = || state.rows.directory.local(lane.tenant, &lane.worker).is_some();
    wanted.includes(lane) && !(wanted.foreign && is_local())
}

/// Decides the late claims among the inputs, and replaces their replies.
pub(super) fn decide_late(
    state: &mut LoopState,
    inputs: &[Input],
    replies: &mut [(Ticket, Result<Reply, EngineError>)],
) -> Result<(), StoreError> {
    for (input, (_, reply)) in inputs.iter().zip(replies) {
        if let Command::Claim(claim) = &input.command
            && claim.late
        {
            *reply = claim.decide(state)?.map(Reply::Claim);
        }
    }
    Ok(())
}

/// Counts the ready tasks that a worker host could get, at most `most`. `taken` counts, by lane, the tasks that others
/// were promised before it.
pub(super) fn on_offer(state: &LoopState, wanted: &ClaimFilter, most: u32, taken: &mut HashMap<usize, usize>) -> usize {
    let mut found = 0;
    let offered = |at: &usize| {
        accepts(state, wanted, *at)
            && !state.limits.is_paused(state.lanes.lane(*at))
            && !state.rate_admission.waits(*at, state.rows.steady_ms)
    };
    for at in (0..state.lanes.len()).filter(offered) {
        // A task that is only in the store is not counted: it is enough for everybody, or the next look will tell.
        let there = if state.lanes.wants_refill(at).is_some() { usize::MAX } else { state.lanes.count(at) };
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
