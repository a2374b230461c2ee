//! Rows of steps.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, RunId, TaskError, TaskId, TenantId, Timestamp,
    cache::CacheRule,
    definition::{Action, BlockIx, StepDef, Wait, WaitFor as Target},
    mutant::{Mutant, planted},
    run::{BeginStep, Beginning, Opening, Parent, Run, ScopeId, SkipReason, Slot, SlotKind, StepStart},
    task::{NewTask, Origin, Policy, Submit, Task, TaskState, WaitFor},
    worker::WorkerSpec,
};
use kapelle_store::{IdKind, StoreError};

use super::{
    advance, children,
    command::{self, Decide},
    control,
    payload::NewPayload,
    rerun, result_cache, runs,
    runs::Answer,
    state::LoopState,
    tasks, watchdog as evaluations,
};
use crate::{
    evaluate::{Evaluated, Evaluation, Items},
    question::cacheable,
};

/// A slot of a run.
pub(super) type Place = (ScopeId, Slot);

/// Names in the worker column of rows of steps that are not tasks. Workers cannot have these names.
pub(super) mod kind {
    pub const STEPS: &str = "(steps)";
    pub const ITEMS: &str = "(for_each)";
    pub const TURNS: &str = "(repeat)";
    pub const WAIT: &str = "(wait)";
    pub const WORKFLOW: &str = "(workflow)";
}

impl Decide for command::BeginStep {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evaluations.came_back(self.run, evaluations::Place::Begin(self.scope, self.slot));
        begin(state, self.run, (self.scope, self.slot), &self.evaluated)
    }
}

/// Evaluates a step here when everything it refers to is loaded and small, otherwise on the pool.
pub(super) fn evaluate_step(state: &mut LoopState, id: RunId, scope: ScopeId, slot: Slot) -> Result<(), StoreError> {
    let Some(evaluation) = state.rows.cache.run(id).and_then(|run| Evaluation::begin(run, scope, slot)) else {
        return Ok(());
    };
    match evaluation.evaluate(&state.rows.cache) {
        Some(evaluated) => begin_evaluated(state, id, (scope, slot), &evaluated),
        None => {
            state.evaluations.send(&mut state.rows, evaluation);
            Ok(())
        }
    }
}

/// Handles a step that was evaluated on the pool.
pub(super) fn begin(state: &mut LoopState, id: RunId, place: Place, evaluated: &Evaluated) -> Answer {
    if let Err(error) = runs::load_run(state, id)? {
        return Ok(Err(error));
    }
    state.scratch.touched.insert(id);
    if state.rows.cache.run(id).is_some_and(|run| run.paused.is_some()) {
        if let Some(run) = state.rows.cache.run_mut(id) {
            run.put_back(place.0, place.1);
        }
        return Ok(Ok(()));
    }
    begin_evaluated(state, id, place, evaluated)?;
    Ok(Ok(()))
}

pub(super) fn begin_evaluated(
    state: &mut LoopState,
    id: RunId,
    place: Place,
    evaluated: &Evaluated,
) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let now = state.rows.now;
    let (beginning, input) = match evaluated {
        Evaluated::Value(input) => match run.slot_kind(place.0, place.1) {
            Some(SlotKind::Action(Action::Workflow { workflow, wait, .. })) => {
                let (workflow, wait) = (workflow.clone(), *wait);
                return begin_child(state, id, place, (&workflow, wait), input);
            }
            Some(SlotKind::Action(Action::Wait(_))) => (Beginning::Wait(None), Some(input)),
            _ => (Beginning::Start, Some(input)),
        },
        Evaluated::Items(Items { list, total, value }) => {
            let opening = Beginning::Open(Opening::Items { total: *total });
            if let Some(task) = begin_slot_with(state, id, place, opening, Some(list), None)? {
                state.rows.cache.keep_list(task, list, value);
            }
            return Ok(());
        }
        Evaluated::Open => (opening(run, place, true), None),
        Evaluated::Otherwise => (opening(run, place, false), None),
        Evaluated::After(time) => {
            let wait = WaitFor::Timer { until: now + *time };
            return begin_slot_with(state, id, place, Beginning::Wait(None), None, Some(wait)).map(|_| ());
        }
        Evaluated::Enough => (Beginning::Enough, None),
        Evaluated::Nothing => (Beginning::Skip(SkipReason::Condition), None),
        Evaluated::Invalid(error) => (Beginning::Invalid(Arc::clone(error)), None),
        Evaluated::Ended { .. } => return Ok(()),
    };
    begin_slot(state, id, place, beginning, input)
}

/// Begins or skips one slot: its row, its events.
pub(super) fn begin_slot(
    state: &mut LoopState,
    id: RunId,
    place: Place,
    beginning: Beginning,
    input: Option<&NewPayload>,
) -> Result<(), StoreError> {
    let (wait, drops_early) = match state.rows.cache.run(id).and_then(|run| run.slot_kind(place.0, place.1)) {
        Some(SlotKind::Action(Action::Wait(wait))) => (wait_for(wait, state.rows.now), wait.drops_early),
        _ => (None, false),
    };
    let signal = match &beginning {
        Beginning::Wait(Some(name)) if !drops_early => Some(name.clone()),
        _ => None,
    };
    let Some(task) = begin_slot_with(state, id, place, beginning, input, wait)? else { return Ok(()) };
    match signal {
        Some(name) => control::take_signal(state, id, &name, task),
        None => Ok(()),
    }
}

/// Begins or skips a slot that waits for the given event. Returns the row that waits or runs.
pub(super) fn begin_slot_with(
    state: &mut LoopState,
    id: RunId,
    place: Place,
    beginning: Beginning,
    input: Option<&NewPayload>,
    wait: Option<WaitFor>,
) -> Result<Option<TaskId>, StoreError> {
    let task = TaskId(state.rows.store.ids(IdKind::Task, 1)?);
    let begin = BeginStep { scope: place.0, slot: place.1, beginning, task };
    let Some(run) = state.rows.cache.run(id) else { return Ok(None) };
    let Ok((mut events, start)) = begin.decide(run) else { return Ok(None) };
    let open = matches!(start, StepStart::Task | StepStart::Waiting | StepStart::Opened(_));
    let ended = make_row(state, id, place, task, (start, wait), input.filter(|_| open))?;
    runs::tell_first(state, &mut events)?;
    events.iter().for_each(|event| state.rows.record(id, event));
    if let Some(ended) = ended {
        rerun::reused(state, id, place, &ended)?;
        return Ok(None);
    }
    Ok(open.then_some(task))
}

/// Begins a step that starts a run, with or without waiting for its end.
pub(super) fn begin_child(
    state: &mut LoopState,
    id: RunId,
    place: Place,
    (workflow, wait): (&Name, bool),
    inputs: &NewPayload,
) -> Result<(), StoreError> {
    if rerun::is_recorded(state, id) {
        return rerun::repeat_child(state, id, place, inputs);
    }
    let child = match children::child_run(state, id, None, workflow, inputs)? {
        Ok(child) => child,
        Err(error) => return begin_slot(state, id, place, Beginning::Invalid(error), None),
    };
    let waits = WaitFor::Run(child.id);
    let Some(task) = begin_slot_with(state, id, place, Beginning::Wait(None), Some(inputs), Some(waits))? else {
        return Ok(());
    };
    let (number, mut child) = (child.id, child);
    if let Some(Parent { task: waiting, .. }) = &mut child.parent {
        *waiting = wait.then_some(task);
    }
    runs::begin_run(state, child);
    if wait {
        return Ok(());
    }
    let output = serde_json::to_vec(&serde_json::json!({ "run": number.to_string() })).unwrap_or_default();
    advance::resolve(state, task, Ok(kapelle_core::Payload::Inline(Arc::from(output))))
}

/// Makes the row of a slot that was begun, skipped, or failed before it began. Returns a row that ended at once because
/// its result was reused from an earlier run.
pub(super) fn make_row(
    state: &mut LoopState,
    run: RunId,
    (scope, slot): Place,
    id: TaskId,
    (start, wait): (StepStart, Option<WaitFor>),
    input: Option<&NewPayload>,
) -> Result<Option<Task>, StoreError> {
    if start == StepStart::Nothing {
        return Ok(None);
    }
    let earlier = match (&start, &wait) {
        (StepStart::Task, _) | (StepStart::Waiting, Some(WaitFor::Signal { .. } | WaitFor::Approval { .. })) => {
            rerun::earlier_result(state, run, (scope, slot), input)?
        }
        _ => None,
    };
    let question = match (&start, &earlier) {
        // A step that is repeated with recorded answers is not answered from the cache.
        (StepStart::Task, None) if !rerun::is_recorded(state, run) => question(state, run, (scope, slot), input),
        _ => None,
    };
    let earlier = match &question {
        Some((tenant, question)) => result_cache::cached_answer(state, *tenant, question)?,
        None => earlier,
    };
    let input = input.map_or(Ok(kapelle_core::Payload::None), |input| state.rows.place(input))?;
    let now = state.rows.now;
    let Some(mut task) = fresh_row(state, run, (scope, slot), id, input) else { return Ok(None) };
    if let Some(ended) = earlier {
        task.state = ended;
        insert_ended(state, task.clone());
        return Ok(Some(task));
    }
    match start {
        StepStart::Task => {
            tasks::insert(state, task);
            if let Some((tenant, question)) = &question {
                result_cache::remember_question(state, *tenant, question, id)?;
            }
        }
        StepStart::Opened(opening) => insert_waiting(state, task, WaitFor::Scope(opening)),
        StepStart::Waiting => {
            let until = wait.unwrap_or(WaitFor::Timer { until: now });
            insert_waiting(state, task, until);
        }
        StepStart::Skipped(reason) => {
            task.state = TaskState::Skipped { reason: Arc::from(reason.as_str()), ended_at: now };
            insert_ended(state, task);
        }
        StepStart::Failed(error) => {
            task.state = TaskState::Failed { error, dead: false, ended_at: now };
            state.rows.notify_failed_early(&task);
            insert_ended(state, task);
        }
        StepStart::Nothing => {}
    }
    Ok(None)
}

/// Makes the row of a slot before its end is known.
pub(super) fn fresh_row(
    state: &LoopState,
    run: RunId,
    (scope, slot): Place,
    id: TaskId,
    input: kapelle_core::Payload,
) -> Option<Task> {
    let now = state.rows.now;
    let run = state.rows.cache.run(run)?;
    let (step, slot_kind) = (run.step(scope, slot)?, run.slot_kind(scope, slot)?);
    let worker = worker_of(slot_kind);
    let spec = state.host_workers.spec(&state.rows, run.tenant, &worker);
    let queue = step.queue.clone().or_else(|| spec.as_ref().map(|spec| spec.queue.clone()));
    let path = Arc::from(run.path(scope, slot));
    let new = NewTask {
        tenant: run.tenant,
        queue: queue.unwrap_or_else(|| Name::new("default")),
        worker,
        priority: i16::try_from(step.priority.clamp(-100, 100)).unwrap_or(0),
        key: None,
        input,
        origin: Some(Origin { run: run.id, scope, slot, path }),
        policy: Arc::new(Policy {
            recorded: run.rerun.as_ref().is_some_and(|rerun| rerun.recorded),
            ..policy(step, slot_kind, spec.as_deref(), now)
        }),
        not_before: None,
    };
    Some(Submit { id, task: new, ageing: state.rows.options.ageing }.decide(now))
}

/// Computes the cache key of a step, if an earlier answer may be reused. The input is read here, so only steps with
/// this option lengthen a turn by it; an input that is a file is not read.
pub(super) fn question(
    state: &LoopState,
    run: RunId,
    (scope, slot): Place,
    input: Option<&NewPayload>,
) -> Option<(TenantId, kapelle_core::cache::Cacheable)> {
    let run = state.rows.cache.run(run)?;
    let step = run.step(scope, slot)?;
    let Some(SlotKind::Action(Action::Worker { worker, .. })) = run.slot_kind(scope, slot) else { return None };
    let spec = state.host_workers.spec(&state.rows, run.tenant, worker)?;
    let rule = step.cache.map(|cache| CacheRule { max_age: cache.max_age });
    if rule.is_none() && spec.cache.is_none() {
        return None;
    }
    let input = match input {
        Some(NewPayload::Bytes(bytes)) => serde_json::from_slice(bytes).ok()?,
        None | Some(NewPayload::None) => serde_json::Value::Null,
        Some(NewPayload::File { .. }) => return None,
    };
    Some((run.tenant, cacheable(&spec, rule, &input)?))
}

pub(super) fn insert_waiting(state: &mut LoopState, task: Task, wait: WaitFor) {
    state.rows.notify_waiting(&task, &wait);
    tasks::insert(state, Task { state: TaskState::Waiting(wait), ..task });
}

pub(super) fn insert_ended(state: &mut LoopState, task: Task) {
    if !planted(Mutant::ForgottenRow) {
        state.rows.cache.insert_task(task);
    }
}

/// Returns the scope that a slot opens; of a branch the one that its condition chose. A step that waits for a signal
/// waits.
fn opening(run: &Run, (scope, slot): Place, holds: bool) -> Beginning {
    let block = |block: BlockIx| Beginning::Open(Opening::Block(block));
    match run.slot_kind(scope, slot) {
        Some(SlotKind::Turns(_)) => Beginning::Open(Opening::Turns),
        Some(SlotKind::Action(Action::Steps(inner))) => block(*inner),
        Some(SlotKind::Action(Action::Branch { then, .. })) if holds => block(*then),
        Some(SlotKind::Action(Action::Branch { otherwise: Some(otherwise), .. })) => block(*otherwise),
        Some(SlotKind::Action(Action::Wait(Wait { target: Target::Signal(name), .. }))) => {
            Beginning::Wait(Some(name.clone()))
        }
        _ => Beginning::Skip(SkipReason::Condition),
    }
}

fn wait_for(wait: &Wait, now: Timestamp) -> Option<WaitFor> {
    let until = wait.timeout.map(|timeout| now + timeout);
    match &wait.target {
        Target::Signal(name) => Some(WaitFor::Signal { name: name.clone(), until, on_timeout: wait.on_timeout }),
        Target::Approval(_) => Some(WaitFor::Approval { until, on_timeout: wait.on_timeout, rule: wait.rule.clone() }),
        Target::Timer(_) => None,
    }
}

fn worker_of(slot_kind: SlotKind<'_>) -> Name {
    match slot_kind {
        SlotKind::Items(_) => Name::new(kind::ITEMS),
        SlotKind::Turns(_) => Name::new(kind::TURNS),
        SlotKind::Action(Action::Worker { worker, .. }) => worker.clone(),
        SlotKind::Action(Action::Workflow { .. }) => Name::new(kind::WORKFLOW),
        SlotKind::Action(Action::Wait(_)) => Name::new(kind::WAIT),
        SlotKind::Action(Action::Steps(_) | Action::Branch { .. }) => Name::new(kind::STEPS),
    }
}

/// Returns rules and limits of a row. The `timeout` of a step that is not a task ends it with everything inside.
fn policy(step: &StepDef, slot_kind: SlotKind<'_>, spec: Option<&WorkerSpec>, now: Timestamp) -> Policy {
    match slot_kind {
        SlotKind::Items(_) | SlotKind::Turns(_) => Policy::default(),
        SlotKind::Action(Action::Worker { .. }) => Policy {
            retry: step.retry.clone().or_else(|| spec.and_then(|spec| spec.retry.clone())).unwrap_or_default(),
            timeout: step.timeout.or_else(|| spec.and_then(|spec| spec.timeout)),
            deadline: step.deadline.map(|span| now + span),
            expires: None,
            max_cost: spec.and_then(|spec| spec.max_cost),
            requires: spec.map_or_else(|| step.requires.clone(), |spec| spec.requires.and(&step.requires)),
            recorded: false,
        },
        SlotKind::Action(_) => Policy { deadline: step.timeout.map(|span| now + span), ..Policy::default() },
    }
}

/// Returns the error of a step for steps outside: a step that holds others has the error of the inner one.
pub(crate) fn step_error(task: &Task) -> Option<Arc<TaskError>> {
    let path = task.origin.as_ref().map_or("?", |origin| &origin.path);
    let held = [kind::STEPS, kind::ITEMS, kind::TURNS].contains(&task.worker.as_str());
    match &task.state {
        TaskState::Failed { error, .. } if held && error.message.starts_with("step `") => Some(Arc::clone(error)),
        TaskState::Failed { error, .. } => {
            let message = format!("step `{path}` failed: {}", error.message);
            Some(Arc::new(TaskError { message, ..(**error).clone() }))
        }
        TaskState::Cancelled { .. } => {
            Some(Arc::new(TaskError::new(Category::Cancelled, format!("step `{path}` was cancelled"))))
        }
        _ => None,
    }
}
