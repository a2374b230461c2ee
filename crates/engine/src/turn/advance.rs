//! Work on runs before a turn ends: ready steps begin, done scopes are closed, finished runs end.

use std::sync::Arc;

use kapelle_core::{
    Category, Payload, RunId, TaskError, TaskId,
    mutant::{Mutant, planted},
    run::{
        Beginning, Closed, Completion, FinishRun, OpenTail, Parent, RunStatus, ScopeId, ScopeKind, StatusKind, Verdict,
    },
    task::{Lift, Resolve, StateKind, TaskState},
};
use kapelle_store::StoreError;

use super::{
    children,
    command::{self, Decide},
    payload::NewPayload,
    runs,
    runs::Answer,
    state::{CHILDREN_MAX, LoopState},
    steps,
    steps::step_error,
    tasks,
    watchdog::Place,
};
use crate::evaluate::{Evaluated, Evaluation};

impl Decide for command::CloseScope {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evaluations.came_back(self.run, Place::Close(self.scope));
        close(state, self.run, self.scope, &self.evaluated)
    }
}

impl Decide for command::FinishRun {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evaluations.came_back(self.run, Place::End);
        finish(state, self.run, &self.evaluated)
    }
}

/// Advances every run that the turn touched: starts ready steps, ends what is done.
pub(super) fn advance_runs(state: &mut LoopState) -> Result<(), StoreError> {
    while let Some(id) = state.scratch.touched.pop_first() {
        if runs::load_run(state, id)?.is_ok() {
            state.scratch.advanced.insert(id);
            advance(state, id)?;
        }
    }
    Ok(())
}

pub(super) fn advance(state: &mut LoopState, id: RunId) -> Result<(), StoreError> {
    let mut left = CHILDREN_MAX;
    loop {
        let next = state.rows.cache.run_mut(id).map(|run| run.take_ready(left)).unwrap_or_default();
        left = left.saturating_sub(next.len());
        let begun = !next.is_empty();
        for step in next {
            match step.verdict {
                Verdict::Skip(reason) => {
                    steps::begin_slot(state, id, (step.scope, step.slot), Beginning::Skip(reason), None)?;
                }
                Verdict::Start => steps::evaluate_step(state, id, step.scope, step.slot)?,
            }
        }
        let done = if left > 0 { state.rows.cache.run_mut(id).and_then(|run| run.take_done()) } else { None };
        match done {
            Some(closed) => {
                left -= 1;
                close_scope(state, id, closed)?;
            }
            None if begun && left > 0 => {}
            None => break,
        }
    }
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    if left == 0 && (run.has_ready() || run.has_done()) {
        state.scratch.more.insert(id);
    }
    lift_paused(state, id)?;
    tear_down(state, id)?;
    keep_clock(state, id);
    complete(state, id)
}

/// Stops the clock of a run that only waits.
pub(super) fn keep_clock(state: &mut LoopState, id: RunId) {
    let now = state.rows.now;
    let Some(event) = state.rows.cache.run(id).and_then(|run| run.clock_event(now)) else { return };
    state.rows.record(id, &event);
    state.timers.stir();
    let due = state.rows.cache.run(id).filter(|run| !run.stands_still()).and_then(|run| run.due_at);
    state.timers.note(due);
}

/// Records that a step of a run lacks money, or has it again: the clock of a run that only waits for money stops.
pub(super) fn note_money(state: &mut LoopState, id: RunId, task: TaskId, kind: StateKind) {
    if let Some(run) = state.rows.cache.run_mut(id).filter(|run| run.definition.timeout.is_some()) {
        run.set_working(task, kind != StateKind::Parked);
        state.scratch.touched.insert(id);
    }
}

/// Ends the row that waits for a done scope.
pub(super) fn close_scope(state: &mut LoopState, id: RunId, closed: Closed) -> Result<(), StoreError> {
    if let Some(task) = closed.failed_by {
        let error = error_of(state, task)?;
        return resolve(state, closed.task, Err(error));
    }
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    if let Some(evaluation) = Evaluation::close(run, closed.scope) {
        match evaluation.evaluate(&state.rows.cache) {
            Some(evaluated) => close_with(state, id, closed, &evaluated)?,
            None => state.evaluations.send(&mut state.rows, evaluation),
        }
        return Ok(());
    }
    let last = match run.scopes.get(&closed.scope).map(|scope| &scope.kind) {
        Some(ScopeKind::Turns(turns)) => turns.last,
        _ => None,
    };
    let mut output = Payload::None;
    if let Some(last) = last
        && state.rows.load(last)?
        && let Some(TaskState::Succeeded { output: given, .. }) = state.rows.cache.task(last).map(|task| &task.state)
    {
        output = given.clone();
    }
    resolve(state, closed.task, Ok(output))
}

/// Handles the output of a scope that was evaluated on the pool.
pub(super) fn close(state: &mut LoopState, id: RunId, scope: ScopeId, evaluated: &Evaluated) -> Answer {
    if let Err(error) = runs::load_run(state, id)? {
        return Ok(Err(error));
    }
    if let Some(closed) = state.rows.cache.run(id).and_then(|run| run.closed(scope)) {
        close_with(state, id, closed, evaluated)?;
    }
    Ok(Ok(()))
}

pub(super) fn close_with(
    state: &mut LoopState,
    id: RunId,
    closed: Closed,
    evaluated: &Evaluated,
) -> Result<(), StoreError> {
    state.scratch.touched.insert(id);
    match evaluated {
        Evaluated::Invalid(error) => resolve(state, closed.task, Err(Arc::clone(error))),
        Evaluated::Value(output) => {
            let output = state.rows.place(output)?;
            resolve(state, closed.task, Ok(output))
        }
        _ => resolve(state, closed.task, Ok(Payload::None)),
    }
}

/// Ends a waiting step.
pub(super) fn resolve(
    state: &mut LoopState,
    task: TaskId,
    ending: Result<Payload, Arc<TaskError>>,
) -> Result<(), StoreError> {
    if !state.rows.load(task)? {
        return Ok(());
    }
    let Some(row) = state.rows.cache.task(task) else { return Ok(()) };
    if let Ok(event) = (Resolve { ending }).decide(row, state.rows.now) {
        tasks::change(state, task, &event)?;
    }
    Ok(())
}

/// Returns the error of a step as steps outside see it.
pub(super) fn error_of(state: &mut LoopState, task: TaskId) -> Result<Arc<TaskError>, StoreError> {
    let found = if state.rows.load(task)? { state.rows.cache.task(task).and_then(step_error) } else { None };
    Ok(found.unwrap_or_else(|| Arc::new(TaskError::new(Category::Internal, "a step failed"))))
}

/// Drops what a pause held, a bounded number a turn.
pub(super) fn lift_paused(state: &mut LoopState, id: RunId) -> Result<(), StoreError> {
    if !state.pauses.contains(&id) || state.rows.cache.run(id).is_none_or(|run| run.paused.is_some()) {
        return Ok(());
    }
    let held = state.rows.store.held_steps(id, CHILDREN_MAX as u32)?;
    // A task that this turn held is not stored yet.
    let last = held.len() < CHILDREN_MAX && state.scratch.paused == 0;
    for task in held {
        match if state.rows.load(task.id)? {
            state.rows.cache.task(task.id).map(|task| Lift.decide(task))
        } else {
            None
        } {
            Some(Ok(event)) => tasks::change(state, task.id, &event)?,
            // Another server held it, and here it is still ready.
            _ => state.scratch.stale = true,
        }
    }
    if last {
        state.pauses.change().remove(&id);
    } else {
        state.scratch.more.insert(id);
    }
    Ok(())
}

/// Cancels tasks of ended scopes, a bounded number a turn.
pub(super) fn tear_down(state: &mut LoopState, id: RunId) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let to_cancel = run.to_cancel(CHILDREN_MAX);
    let reason: Arc<str> = Arc::from(match run.status {
        RunStatus::Cancelling { .. } => "its run was cancelled",
        RunStatus::Failing { .. } => "its run failed",
        _ => "the step it is part of ended",
    });
    for task in &to_cancel {
        // A row that cannot be cancelled has ended: the memory is older than another server's write.
        state.scratch.stale |= tasks::cancel(state, *task, &reason)?.is_err();
    }
    if !to_cancel.is_empty() {
        // Every cancelled task touched the run again; the rest is done in the next turn.
        state.scratch.touched.remove(&id);
        if state.rows.cache.run(id).is_some_and(|run| !run.to_cancel.is_empty() || run.has_ready() || run.has_done()) {
            state.scratch.more.insert(id);
        }
    }
    Ok(())
}

/// Ends a run that has no work left.
pub(super) fn complete(state: &mut LoopState, id: RunId) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    match run.completion() {
        None => Ok(()),
        Some(Completion::Tail(scope)) => {
            let events = OpenTail(scope).decide(run).unwrap_or_default();
            events.iter().for_each(|event| state.rows.record(id, event));
            state.scratch.touched.insert(id);
            Ok(())
        }
        Some(Completion::Cancelled) => end(state, id, StatusKind::Cancelled, None),
        Some(Completion::Failed(task)) => {
            let general = || Arc::new(TaskError::new(Category::Internal, "a step failed"));
            let error = match (&run.status, task) {
                (RunStatus::Failing { error }, _) => Arc::clone(error),
                (_, Some(task)) => error_of(state, task)?,
                (_, None) => general(),
            };
            end(state, id, StatusKind::Failed, Some(error))
        }
        Some(Completion::Outputs) => end(state, id, StatusKind::Succeeded, None),
    }
}

/// Ends the run with that status, once its outputs and the inputs of the runs that its end starts are known.
pub(super) fn end(
    state: &mut LoopState,
    id: RunId,
    status: StatusKind,
    error: Option<Arc<TaskError>>,
) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let triggers = state.rows.directory.triggered(run.tenant, &run.workflow);
    let evaluated = match Evaluation::ending(run, status, error.clone(), triggers) {
        None => {
            let outputs = error.map_or(Ok(NewPayload::None), Err);
            Some(Evaluated::Ended { status, outputs, starts: Vec::new() })
        }
        Some(evaluation) => {
            let evaluated = evaluation.evaluate(&state.rows.cache);
            if evaluated.is_none() {
                state.evaluations.send(&mut state.rows, evaluation);
            }
            evaluated
        }
    };
    evaluated.map_or(Ok(()), |evaluated| finish_with(state, id, evaluated))
}

/// Handles the end of a run that was evaluated on the pool.
pub(super) fn finish(state: &mut LoopState, id: RunId, evaluated: &Evaluated) -> Answer {
    if let Err(error) = runs::load_run(state, id)? {
        return Ok(Err(error));
    }
    finish_with(state, id, evaluated.clone())?;
    Ok(Ok(()))
}

pub(super) fn finish_with(state: &mut LoopState, id: RunId, evaluated: Evaluated) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let (expected, outputs, starts) = match evaluated {
        Evaluated::Ended { status, outputs, starts } => (Some(status), outputs, starts),
        // The language failed as a whole.
        Evaluated::Invalid(error) => (None, Err(error), Vec::new()),
        _ => return Ok(()),
    };
    let status = match run.completion() {
        Some(Completion::Outputs) => StatusKind::Succeeded,
        Some(Completion::Failed(_)) => StatusKind::Failed,
        Some(Completion::Cancelled) => StatusKind::Cancelled,
        None | Some(Completion::Tail(_)) => return Ok(()),
    };
    // Somebody cancelled it meanwhile: its end is evaluated again.
    if expected.is_some_and(|expected| expected != status) {
        return Ok(());
    }
    if outputs.is_err() && status == StatusKind::Succeeded && planted(Mutant::OutputsForgotten) {
        return Ok(());
    }
    let (outputs, error) = match outputs {
        Ok(outputs) => (state.rows.place(&outputs)?, None),
        Err(error) => (Payload::None, Some(error)),
    };
    children::start_triggered(state, id, starts)?;
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let Ok(events) = (FinishRun { error }).decide(run, state.rows.now) else { return Ok(()) };
    events.iter().for_each(|event| state.rows.record(id, event));
    state.timers.stir();
    let Some(run) = state.rows.cache.change_run(id) else { return Ok(()) };
    if let RunStatus::Succeeded { outputs: place, .. } = &mut run.status {
        *place = outputs;
    }
    match run.parent {
        Some(Parent { task: Some(task), .. }) => tell_parent(state, id, task),
        _ => Ok(()),
    }
}

/// Ends the step that started the run and waits for it.
pub(super) fn tell_parent(state: &mut LoopState, id: RunId, task: TaskId) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let ending = match &run.status {
        RunStatus::Succeeded { outputs, .. } => Ok(outputs.clone()),
        RunStatus::Failed { error, .. } => {
            Err(Arc::new(TaskError { message: format!("{id}: {}", error.message), ..(**error).clone() }))
        }
        _ => Err(Arc::new(TaskError::new(Category::Cancelled, format!("{id} was cancelled")).permanent())),
    };
    resolve(state, task, ending)
}
