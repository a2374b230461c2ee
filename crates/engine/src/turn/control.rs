//! Commands to runs in progress.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, RunId, TaskError, TaskId,
    mutant::{Mutant, planted},
    run::{CancelRun, PauseRun, ResumeRun, RunEvent, RunRejection, TimeOut},
    task::{Hold, HoldReason, Task, TaskState, WaitFor},
};
use kapelle_store::{KeyReply, StoreError};

use super::{
    advance,
    command::{self, Decide},
    payload::NewPayload,
    runs,
    runs::Answer,
    state::{CHILDREN_MAX, LoopState},
    tasks,
};
use crate::error::EngineError;

/// Limit of signals that a run stores for later steps.
const MAILBOX_MAX: usize = 1_000;

impl Decide for command::CancelRun {
    fn decide(&self, state: &mut LoopState) -> Answer {
        cancel_run(state, self.run, &self.reason)
    }
}

impl Decide for command::PauseRun {
    fn decide(&self, state: &mut LoopState) -> Answer {
        pause_run(state, self.run)
    }
}

impl Decide for command::ResumeRun {
    fn decide(&self, state: &mut LoopState) -> Answer {
        resume_run(state, self.run)
    }
}

impl Decide for command::Signal {
    fn decide(&self, state: &mut LoopState) -> Answer {
        let reply = KeyReply::Run(self.run);
        tasks::once(state, self.key.as_ref(), reply, |state| signal(state, self.run, &self.name, &self.payload))
    }
}

impl Decide for command::Approve {
    fn decide(&self, state: &mut LoopState) -> Answer {
        approve(state, self.task, self.approved, &self.answer, &self.why)
    }
}

/// Decides a command to a run and records its events.
pub(super) fn ask_run(
    state: &mut LoopState,
    id: RunId,
    decide: impl FnOnce(&kapelle_core::run::Run) -> Result<Vec<RunEvent>, RunRejection>,
) -> Answer {
    if let Err(error) = runs::load_run(state, id)? {
        return Ok(Err(error));
    }
    let Some(run) = state.rows.cache.run(id) else { return Ok(Err(EngineError::NoSuchRun(id))) };
    match decide(run) {
        Ok(events) => {
            events.iter().for_each(|event| state.rows.record(id, event));
            state.scratch.touched.insert(id);
            state.timers.stir();
            Ok(Ok(()))
        }
        Err(rejection) => Ok(Err(rejection.into())),
    }
}

pub(super) fn cancel_run(state: &mut LoopState, id: RunId, reason: &Arc<str>) -> Answer {
    ask_run(state, id, |run| CancelRun { reason: Arc::clone(reason) }.decide(run))
}

pub(super) fn pause_run(state: &mut LoopState, id: RunId) -> Answer {
    let now = state.rows.now;
    ask_run(state, id, |run| PauseRun.decide(run, now))
}

pub(super) fn resume_run(state: &mut LoopState, id: RunId) -> Answer {
    let now = state.rows.now;
    state.pauses.change().insert(id);
    let answer = ask_run(state, id, |run| ResumeRun.decide(run, now))?;
    if answer.is_ok() {
        let due = state.rows.cache.run(id).and_then(|run| run.due_at);
        state.timers.note(due);
    }
    Ok(answer)
}

/// Ends a run at its time limit.
pub(super) fn time_out(state: &mut LoopState, id: RunId) -> Result<(), StoreError> {
    let error = TaskError::new(Category::Timeout, "the run took longer than its `timeout`").permanent();
    let answer = ask_run(state, id, |run| TimeOut { error: Arc::new(error) }.decide(run))?;
    // Also when only the end part is left: that has its own time.
    if let Some(run) = state.rows.cache.change_run(id) {
        run.due_at = None;
    }
    let _ = answer;
    Ok(())
}

/// Holds a ready step of a paused run, a bounded number a turn.
pub(super) fn hold_paused(state: &mut LoopState, task: &Task) -> Result<bool, StoreError> {
    let Some(run) = task.origin.as_ref().map(|origin| origin.run) else { return Ok(false) };
    // After a conflict and after a start it is not in memory.
    if runs::load_run(state, run)?.is_err() || state.rows.cache.run(run).is_none_or(|run| run.paused.is_none()) {
        return Ok(false);
    }
    if let Ok(event) = (Hold { reason: HoldReason::RunPaused }).decide(task) {
        tasks::change(state, task.id, &event)?;
        // The run is written with it: a server that does not know of the resume must not hold its steps.
        let _ = state.rows.cache.change_run(run);
    }
    state.scratch.paused += 1;
    if state.scratch.paused >= CHILDREN_MAX {
        state.scratch.more.insert(run);
    }
    Ok(true)
}

/// Delivers a signal to the step that has waited for it the longest, or stores it, unless it is one that is lost then.
pub(super) fn signal(state: &mut LoopState, id: RunId, name: &Name, payload: &NewPayload) -> Answer {
    if let Err(error) = runs::load_run(state, id)? {
        return Ok(Err(error));
    }
    let Some(run) = state.rows.cache.run(id) else { return Ok(Err(EngineError::NoSuchRun(id))) };
    let status = run.status.kind();
    if status.is_terminal() {
        return Ok(Err(RunRejection::NotRunning { run: id, status }.into()));
    }
    let waiting = run.waiting.get(name).and_then(|tasks| tasks.first().copied());
    if waiting.is_none() && run.definition.dropped_signals.contains(name) {
        state.rows.record(id, &RunEvent::SignalLost { name: name.clone() });
        return Ok(Ok(()));
    }
    if waiting.is_none() && run.mailbox.len() >= MAILBOX_MAX {
        let what = format!("{id} keeps {MAILBOX_MAX} signals that no step waited for, and keeps no more");
        return Ok(Err(EngineError::InvalidInput(what)));
    }
    let payload = state.rows.place(payload)?;
    match waiting {
        Some(task) => {
            // Another server may have ended the step: the memory is outdated, and the signal must not be lost.
            let waits = state.rows.load(task)?
                && matches!(state.rows.cache.task(task).map(|task| &task.state), Some(TaskState::Waiting(_)));
            state.scratch.stale |= !waits;
            advance::resolve(state, task, Ok(payload))?;
        }
        None if planted(Mutant::SignalLost) => {}
        None => {
            state.rows.record(id, &RunEvent::SignalKept { name: name.clone() });
            if let Some(run) = state.rows.cache.change_run(id) {
                run.mailbox.push_back((name.clone(), payload));
            }
        }
    }
    Ok(Ok(()))
}

/// Gives a stored signal to a step that waits for it.
pub(super) fn take_signal(state: &mut LoopState, id: RunId, name: &Name, task: TaskId) -> Result<(), StoreError> {
    let Some(run) = state.rows.cache.run(id) else { return Ok(()) };
    let Some((_, payload)) = run.mailbox.iter().find(|(kept, _)| kept == name) else { return Ok(()) };
    let payload = payload.clone();
    state.rows.record(id, &RunEvent::SignalTaken { name: name.clone() });
    advance::resolve(state, task, Ok(payload))
}

/// Handles a person's answer.
pub(super) fn approve(
    state: &mut LoopState,
    id: TaskId,
    approved: bool,
    answer: &NewPayload,
    why: &Arc<str>,
) -> Answer {
    if !state.rows.load(id)? {
        return Ok(Err(EngineError::NoSuchTask(id)));
    }
    match state.rows.cache.task(id).map(|task| &task.state) {
        Some(TaskState::Waiting(WaitFor::Approval { .. })) => {}
        Some(state) => {
            let what = format!("{id} is {}: it does not wait for an approval", state.kind().as_str());
            return Ok(Err(EngineError::InvalidInput(what)));
        }
        None => return Ok(Err(EngineError::NoSuchTask(id))),
    }
    let ending = if approved {
        Ok(state.rows.place(answer)?)
    } else {
        Err(Arc::new(TaskError::new(Category::Cancelled, why.to_string()).permanent()))
    };
    advance::resolve(state, id, ending)?;
    Ok(Ok(()))
}
