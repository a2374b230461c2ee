//! Commands to tasks.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{
    Category, Name, Requires, TaskError, TaskId, TenantId,
    mutant::{Mutant, planted},
    run::{Outcome, TaskEnded},
    task::{
        Cancel, Discard, Fail, Lease, NewTask, Policy, Rejection, Release, Report, RetryByHand, StateKind, Submit,
        Succeed, Task, TaskEvent, TaskState, WaitFor,
    },
    worker::WorkerSpec,
};
use kapelle_store::{IdKind, KeyReply, KeyRow, KeyWrite, Lane, StoreError};

use super::{
    advance,
    cache::Key,
    children,
    command::{self, Decide, Made, Reported, SubmitTask},
    effect::Effect,
    key_limits,
    lanes::lane_of,
    notice::Notice,
    result_cache, runs,
    runs::Answer,
    state::LoopState,
    steps::step_error,
};
use crate::error::EngineError;

impl Decide for command::Submit {
    fn decide(&self, state: &mut LoopState) -> Answer<Made> {
        submit(state, self.tenant, &self.tasks, self.key.as_ref())
    }
}

impl Decide for command::Report {
    fn decide(&self, state: &mut LoopState) -> Answer {
        report(state, self.tenant, &self.report, &self.reported)
    }
}

impl Decide for command::Cancel {
    fn decide(&self, state: &mut LoopState) -> Answer {
        cancel(state, self.task, &self.reason)
    }
}

impl Decide for command::RetryByHand {
    fn decide(&self, state: &mut LoopState) -> Answer {
        once(state, self.key.as_ref(), KeyReply::Tasks(self.task, 1), |state| retry_by_hand(state, self.task))
    }
}

impl Decide for command::Discard {
    fn decide(&self, state: &mut LoopState) -> Answer {
        discard(state, self.task, &self.reason)
    }
}

pub(super) fn submit(state: &mut LoopState, tenant: TenantId, tasks: &[SubmitTask], key: Option<&Key>) -> Answer<Made> {
    if let Some(key) = key {
        match used_key(state, tenant, key)? {
            Some(Ok(KeyReply::Tasks(first, count))) => {
                return Ok(Ok(Made { first, count, repeated: true }));
            }
            Some(Ok(KeyReply::Run(_) | KeyReply::Fire(_))) | Some(Err(())) => {
                return Ok(Err(EngineError::KeyReused(key.key.to_string())));
            }
            None => {}
        }
    }
    if let Some(error) = refusal(state, tenant, tasks) {
        return Ok(Err(EngineError::Busy(Box::new(error))));
    }
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let first = TaskId(state.rows.store.ids(IdKind::Task, count.max(1))?);
    let mut shared: Option<(Name, Arc<Policy>)> = None;
    for (number, task) in tasks.iter().enumerate() {
        let spec = state.host_workers.spec(&state.rows, tenant, &task.worker);
        let plain = task.deadline.is_none() && task.ttl.is_none() && task.timeout.is_none();
        let plain = plain && task.retry.is_none() && task.max_cost.is_none() && task.requires.is_empty();
        let policy = match &shared {
            Some((worker, policy)) if plain && *worker == task.worker => Arc::clone(policy),
            _ => Arc::new(policy(state, task, spec.as_deref())),
        };
        if plain {
            shared = Some((task.worker.clone(), Arc::clone(&policy)));
        }
        let new = new_task(state, tenant, task, spec.as_deref(), policy)?;
        let id = TaskId(first.0 + number as i64);
        let mut made = Submit { id, task: new, ageing: state.rows.options.ageing }.decide(state.rows.now);
        if let Some(question) = task.cache.as_ref().filter(|_| task.delay.0 == 0) {
            if let Some(answered) = result_cache::cached_answer(state, tenant, question)? {
                made.state = answered;
                state.rows.cache.insert_task(made);
                continue;
            }
            result_cache::remember_question(state, tenant, question, id)?;
        }
        let keyed = made.key.is_some().then(|| made.clone());
        insert(state, made);
        if let Some(task) = keyed.filter(|task| task.state.kind() == StateKind::Ready) {
            key_limits::make_room(state, &task)?;
        }
    }
    if let Some(key) = key {
        remember_key(state, tenant, key, KeyReply::Tasks(first, count));
    }
    Ok(Ok(Made { first, count, repeated: false }))
}

/// Returns the error of tasks of which one has a key at its limit and the rule is to refuse.
pub(super) fn refusal(state: &LoopState, tenant: TenantId, tasks: &[SubmitTask]) -> Option<TaskError> {
    let mut before: HashMap<&Name, usize> = HashMap::new();
    tasks.iter().filter(|task| task.key.is_some()).find_map(|task| {
        let queue =
            task.queue.clone().unwrap_or_else(|| state.host_workers.queue_of(&state.rows, tenant, &task.worker));
        let earlier = before.entry(task.key.as_ref()?).or_default();
        // The required labels do not matter here.
        let lane = Lane { tenant, queue, worker: task.worker.clone(), requires: Requires::default() };
        let refused = key_limits::refused(state, &lane, task.key.as_ref(), *earlier);
        *earlier += 1;
        refused
    })
}

pub(super) fn policy(state: &LoopState, task: &SubmitTask, spec: Option<&WorkerSpec>) -> Policy {
    let now = state.rows.now;
    Policy {
        retry: task.retry.clone().or_else(|| spec.and_then(|spec| spec.retry.clone())).unwrap_or_default(),
        timeout: task.timeout.or_else(|| spec.and_then(|spec| spec.timeout)),
        deadline: task.deadline,
        expires: task.ttl.map(|ttl| now + ttl),
        max_cost: task.max_cost.or_else(|| spec.and_then(|spec| spec.max_cost)),
        requires: spec.map_or_else(|| task.requires.clone(), |spec| spec.requires.and(&task.requires)),
        recorded: false,
    }
}

pub(super) fn new_task(
    state: &mut LoopState,
    tenant: TenantId,
    task: &SubmitTask,
    spec: Option<&WorkerSpec>,
    policy: Arc<Policy>,
) -> Result<NewTask, StoreError> {
    let queue = task.queue.clone().or_else(|| spec.map(|spec| spec.queue.clone()));
    let delayed = task.delay.0 > 0;
    Ok(NewTask {
        tenant,
        queue: queue.unwrap_or_else(|| Name::new("default")),
        worker: task.worker.clone(),
        priority: task.priority,
        key: task.key.clone(),
        input: state.rows.place(&task.input)?,
        origin: None,
        policy,
        not_before: delayed.then(|| state.rows.now + task.delay),
    })
}

/// Adds a new task to the turn.
pub(super) fn insert(state: &mut LoopState, task: Task) {
    state.timers.note(task.due_at());
    offer(state, &task);
    state.rows.cache.insert_task(task);
}

/// Returns the key's reply, or the error that it was used for another body.
pub(super) fn used_key(
    state: &mut LoopState,
    tenant: TenantId,
    key: &Key,
) -> Result<Option<Result<KeyReply, ()>>, StoreError> {
    if planted(Mutant::IdempotencyIgnored) {
        return Ok(None);
    }
    let row = match state.rows.cache.keys.get(&(tenant, Arc::clone(&key.key))) {
        Some(write) => Some(write.row.clone()),
        None => state.rows.store.key(tenant, &key.key, state.rows.now)?,
    };
    Ok(row.map(|row| if row.body == key.body { Ok(row.reply) } else { Err(()) }))
}

/// Performs an act unless its key was used for it before.
pub(super) fn once(
    state: &mut LoopState,
    key: Option<&(TenantId, Key)>,
    reply: KeyReply,
    act: impl FnOnce(&mut LoopState) -> Answer,
) -> Answer {
    let Some((tenant, key)) = key else { return act(state) };
    match used_key(state, *tenant, key)? {
        Some(Ok(known)) if known == reply => return Ok(Ok(())),
        Some(_) => return Ok(Err(EngineError::KeyReused(key.key.to_string()))),
        None => {}
    }
    let answer = act(state)?;
    if answer.is_ok() {
        remember_key(state, *tenant, key, reply);
    }
    Ok(answer)
}

pub(super) fn remember_key(state: &mut LoopState, tenant: TenantId, key: &Key, reply: KeyReply) {
    let until = state.rows.now + state.rows.options.key_retention;
    let row = KeyRow { tenant, key: Arc::clone(&key.key), body: key.body, reply, until };
    state.rows.cache.keys.insert((tenant, Arc::clone(&key.key)), KeyWrite { row, at: state.rows.now });
}

pub(super) fn report(state: &mut LoopState, tenant: TenantId, report: &Report, reported: &Reported) -> Answer {
    if !state.rows.load_for(report)? {
        return Ok(Err(EngineError::NoSuchTask(report.task)));
    }
    // The reply is that of a wrong lease: another tenant learns nothing about the task, and does not change it.
    if state.rows.cache.task(report.task).is_some_and(|task| task.tenant != tenant) {
        return Ok(Err(Rejection::LeaseLost(report.task).into()));
    }
    let now = state.rows.now;
    let Some(task) = state.rows.cache.task(report.task) else { return Ok(Err(EngineError::NoSuchTask(report.task))) };
    // Refused before its payload is stored: a stale report writes nothing.
    let decided = match reported {
        Reported::Succeed { output, provenance } => {
            let early =
                Succeed { report: *report, output: kapelle_core::Payload::None, provenance: Arc::clone(provenance) };
            match early.decide(task, now) {
                Ok(_) => {
                    let output = state.rows.place(output)?;
                    Ok(TaskEvent::Succeeded { output, provenance: Arc::clone(provenance), at: now })
                }
                Err(rejection) => Err(rejection),
            }
        }
        Reported::Fail { error } => {
            let random = (state.rows.random)();
            let mut error = error.clone();
            // Only the server declares an attempt lost: a host that reports is alive.
            if error.category == Category::LeaseLost && matches!(task.state, TaskState::Running(at) if at.host != 0) {
                error.category = Category::Crashed;
            }
            Fail { report: *report, error, random }.decide(task, now)
        }
        Reported::Release => Release { report: *report, ageing: state.rows.options.ageing }.decide(task, now),
    };
    match decided {
        Ok(event) => {
            change(state, report.task, &event)?;
            Ok(Ok(()))
        }
        Err(rejection) => {
            // Another server may have ended or reassigned the task that ran here; its slot is free nevertheless.
            state.limits.give_back_attempt(report.task, report.epoch);
            if !state.rows.cache.task(report.task).is_some_and(|task| matches!(task.state, TaskState::Running(_))) {
                state.rate_admission.end_right(&state.rows, report.task);
            }
            Ok(Err(rejection.into()))
        }
    }
}

pub(super) fn cancel(state: &mut LoopState, id: TaskId, reason: &Arc<str>) -> Answer {
    if !state.rows.load(id)? {
        return Ok(Err(EngineError::NoSuchTask(id)));
    }
    let Some(task) = state.rows.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
    match (Cancel { reason: Arc::clone(reason) }).decide(task, state.rows.now) {
        Ok(event) => {
            change(state, id, &event)?;
            Ok(Ok(()))
        }
        Err(rejection) => Ok(Err(rejection.into())),
    }
}

pub(super) fn retry_by_hand(state: &mut LoopState, id: TaskId) -> Answer {
    if !state.rows.load(id)? {
        return Ok(Err(EngineError::NoSuchTask(id)));
    }
    let Some(task) = state.rows.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
    match (RetryByHand { ageing: state.rows.options.ageing }).decide(task, state.rows.now) {
        Ok(event) => {
            change(state, id, &event)?;
            Ok(Ok(()))
        }
        Err(rejection) => Ok(Err(rejection.into())),
    }
}

pub(super) fn discard(state: &mut LoopState, id: TaskId, reason: &Arc<str>) -> Answer {
    if !state.rows.load(id)? {
        return Ok(Err(EngineError::NoSuchTask(id)));
    }
    let Some(task) = state.rows.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
    match (Discard { reason: Arc::clone(reason) }).decide(task, state.rows.now) {
        Ok(event) => {
            change(state, id, &event)?;
            Ok(Ok(()))
        }
        Err(rejection) => Ok(Err(rejection.into())),
    }
}

/// Returns the effect that stops an attempt which an event ends. None for the report of the attempt itself.
fn stop(id: TaskId, lease: &Lease, event: &TaskEvent) -> Option<Effect> {
    if lease.host == 0 {
        let reported = matches!(event, TaskEvent::Succeeded { .. } | TaskEvent::WillRetry { .. });
        return (!reported).then_some(Effect::Stop(id));
    }
    let revoked = match event {
        TaskEvent::Cancelled { .. } => true,
        // A host that reports its own timeout is told too, and knows no such attempt any more.
        TaskEvent::Failed { error, .. } | TaskEvent::WillRetry { error, .. } => {
            matches!(error.category, Category::Timeout | Category::LeaseLost)
        }
        _ => false,
    };
    let report = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
    revoked.then_some(Effect::Tell(Notice::Revoked { host: lease.host, report }))
}

/// Applies an event to a task in memory and updates its place in the order, its slot and its run.
pub(super) fn change(state: &mut LoopState, id: TaskId, event: &TaskEvent) -> Result<(), StoreError> {
    let shared = state.retry_budgets.budget_retry(&state.rows, id, event);
    let event = shared.as_ref().unwrap_or(event);
    let Some(before) = state.rows.cache.task(id) else { return Ok(()) };
    let left = matches!(before.state, TaskState::Waiting(WaitFor::Run(_))).then(|| before.clone());
    let state_before = before.state.kind();
    let was_running = match before.state {
        TaskState::Running(lease) => Some(lease),
        _ => None,
    };
    if let TaskState::Ready { rank } = before.state {
        let lane = lane_of(before);
        state.lanes.withdraw(&lane, (rank, id));
    }
    if before.due_at().is_some() {
        state.timers.stir();
    }
    let Some(task) = state.rows.cache.evolve_task(id, event) else { return Ok(()) };
    let (kind, origin) = (task.state.kind(), task.origin.clone());
    let freed = task.key.clone().map(|key| (lane_of(task), key));
    if state_before == StateKind::Running && kind != StateKind::Running {
        state.limits.give_back(id);
    }
    if let Some(lease) = was_running.filter(|_| kind != StateKind::Running) {
        state.rows.effects.extend(stop(id, &lease, event));
    }
    let task = task.clone();
    state.timers.note(task.due_at());
    state.retry_budgets.note(state.rows.now, state_before, &task);
    if matches!(state_before, StateKind::Running | StateKind::Ready) && kind != StateKind::Held {
        state.scratch.freed.extend(freed);
    }
    if kind == StateKind::Ready && !planted(Mutant::LostReady) {
        offer(state, &task);
        key_limits::make_room(state, &task)?;
    }
    if let Some(before) = left.filter(|_| kind != StateKind::Succeeded) {
        children::leave_child(state, &before)?;
    }
    if (state_before == StateKind::Parked) != (kind == StateKind::Parked)
        && let Some(run) = task.origin.as_ref().map(|origin| origin.run)
        && runs::load_run(state, run)?.is_ok()
    {
        advance::note_money(state, run, id, kind);
    }
    if let (true, Some(origin)) = (kind.is_terminal(), origin) {
        let outcome = match kind {
            StateKind::Succeeded => Outcome::Succeeded,
            StateKind::Cancelled => Outcome::Cancelled,
            _ => Outcome::Failed,
        };
        let error = step_error(&task);
        let ended = TaskEnded { scope: origin.scope, slot: origin.slot, task: id, outcome, error };
        runs::step_ended(state, origin.run, ended, &task)?;
    }
    Ok(())
}

pub(super) fn offer(state: &mut LoopState, task: &Task) {
    if let Some((_, dropped)) = state.lanes.offer(task) {
        state.rows.cache.tasks.remove(&dropped);
    }
}
