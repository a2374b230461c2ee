//! What is to be done for a run before its turn ends: what is ready begins, what is done is closed, what is left ends.

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
    command::{self, Decide},
    payload::NewPayload,
    runs::Answer,
    state::{CHILDREN_MAX, LoopState},
    steps::step_error,
    watchdog::Place,
};
use crate::evaluate::{Evaluated, Evaluation};

impl Decide for command::CloseScope {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evaluated(self.run, Place::Close(self.scope));
        state.close(self.run, self.scope, &self.evaluated)
    }
}

impl Decide for command::FinishRun {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evaluated(self.run, Place::End);
        state.finish(self.run, &self.evaluated)
    }
}

impl LoopState {
    /// Looks at every run that the turn touched: starts what is ready, ends what is done.
    pub(super) fn advance_runs(&mut self) -> Result<(), StoreError> {
        while let Some(id) = self.scratch.touched.pop_first() {
            if self.load_run(id)?.is_ok() {
                self.scratch.advanced.insert(id);
                self.advance(id)?;
            }
        }
        Ok(())
    }

    fn advance(&mut self, id: RunId) -> Result<(), StoreError> {
        let mut left = CHILDREN_MAX;
        loop {
            let next = self.cache.run_mut(id).map(|run| run.take_ready(left)).unwrap_or_default();
            left = left.saturating_sub(next.len());
            let begun = !next.is_empty();
            for step in next {
                match step.verdict {
                    Verdict::Skip(reason) => {
                        self.begin_slot(id, (step.scope, step.slot), Beginning::Skip(reason), None)?;
                    }
                    Verdict::Start => self.evaluate_step(id, step.scope, step.slot)?,
                }
            }
            let done = if left > 0 { self.cache.run_mut(id).and_then(|run| run.take_done()) } else { None };
            match done {
                Some(closed) => {
                    left -= 1;
                    self.close_scope(id, closed)?;
                }
                None if begun && left > 0 => {}
                None => break,
            }
        }
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        if left == 0 && (run.has_ready() || run.has_done()) {
            self.scratch.more.insert(id);
        }
        self.lift_paused(id)?;
        self.tear_down(id)?;
        self.keep_clock(id);
        self.complete(id)
    }

    /// The time of a run that only waits stands still.
    fn keep_clock(&mut self, id: RunId) {
        let now = self.scratch.now;
        let Some(event) = self.cache.run(id).and_then(|run| run.clock_event(now)) else { return };
        self.record(id, &event);
        self.scratch.due_changed = true;
        let due = self.cache.run(id).filter(|run| !run.stands_still()).and_then(|run| run.due_at);
        self.note_run_due(due);
    }

    /// A step of a run lacks money, or lacks it no more: a run that only waits for some stands still.
    pub(super) fn note_money(&mut self, id: RunId, task: TaskId, kind: StateKind) {
        if let Some(run) = self.cache.run_mut(id).filter(|run| run.definition.timeout.is_some()) {
            run.set_working(task, kind != StateKind::Parked);
            self.scratch.touched.insert(id);
        }
    }

    /// Ends the row that waits for a scope that is done.
    fn close_scope(&mut self, id: RunId, closed: Closed) -> Result<(), StoreError> {
        if let Some(task) = closed.failed_by {
            let error = self.error_of(task)?;
            return self.resolve(closed.task, Err(error));
        }
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        if let Some(evaluation) = Evaluation::close(run, closed.scope) {
            match evaluation.evaluate(&self.cache) {
                Some(evaluated) => self.close_with(id, closed, &evaluated)?,
                None => self.evaluate_later(evaluation),
            }
            return Ok(());
        }
        let last = match run.scopes.get(&closed.scope).map(|scope| &scope.kind) {
            Some(ScopeKind::Turns(turns)) => turns.last,
            _ => None,
        };
        let mut output = Payload::None;
        if let Some(last) = last
            && self.load(last)?
            && let Some(TaskState::Succeeded { output: given, .. }) = self.cache.task(last).map(|task| &task.state)
        {
            output = given.clone();
        }
        self.resolve(closed.task, Ok(output))
    }

    /// The output of a scope has been evaluated on the pool.
    pub(super) fn close(&mut self, id: RunId, scope: ScopeId, evaluated: &Evaluated) -> Answer {
        if let Err(error) = self.load_run(id)? {
            return Ok(Err(error));
        }
        if let Some(closed) = self.cache.run(id).and_then(|run| run.closed(scope)) {
            self.close_with(id, closed, evaluated)?;
        }
        Ok(Ok(()))
    }

    fn close_with(&mut self, id: RunId, closed: Closed, evaluated: &Evaluated) -> Result<(), StoreError> {
        self.scratch.touched.insert(id);
        match evaluated {
            Evaluated::Invalid(error) => self.resolve(closed.task, Err(Arc::clone(error))),
            Evaluated::Value(output) => {
                let output = self.place(output)?;
                self.resolve(closed.task, Ok(output))
            }
            _ => self.resolve(closed.task, Ok(Payload::None)),
        }
    }

    /// Ends a step that waits.
    pub(super) fn resolve(&mut self, task: TaskId, ending: Result<Payload, Arc<TaskError>>) -> Result<(), StoreError> {
        if !self.load(task)? {
            return Ok(());
        }
        let Some(row) = self.cache.task(task) else { return Ok(()) };
        if let Ok(event) = (Resolve { ending }).decide(row, self.scratch.now) {
            self.change(task, &event)?;
        }
        Ok(())
    }

    /// Why a step did not end well, as those outside of it are told.
    pub(super) fn error_of(&mut self, task: TaskId) -> Result<Arc<TaskError>, StoreError> {
        let found = if self.load(task)? { self.cache.task(task).and_then(step_error) } else { None };
        Ok(found.unwrap_or_else(|| Arc::new(TaskError::new(Category::Internal, "a step failed"))))
    }

    /// Lets go of what a pause held, a bounded number a turn.
    fn lift_paused(&mut self, id: RunId) -> Result<(), StoreError> {
        if !self.lifting.contains(&id) || self.cache.run(id).is_none_or(|run| run.paused.is_some()) {
            return Ok(());
        }
        let held = self.store.held_steps(id, CHILDREN_MAX as u32)?;
        // What this turn itself held is not stored yet.
        let last = held.len() < CHILDREN_MAX && self.scratch.paused == 0;
        for task in held {
            match if self.load(task.id)? { self.cache.task(task.id).map(|task| Lift.decide(task)) } else { None } {
                Some(Ok(event)) => self.change(task.id, &event)?,
                // Another server held it, and here it is still ready.
                _ => self.scratch.stale = true,
            }
        }
        if last {
            self.lifting.remove(&id);
        } else {
            self.scratch.more.insert(id);
        }
        Ok(())
    }

    /// Cancels what is to be cancelled, a bounded number a turn.
    fn tear_down(&mut self, id: RunId) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let to_cancel = run.to_cancel(CHILDREN_MAX);
        let reason: Arc<str> = Arc::from(match run.status {
            RunStatus::Cancelling { .. } => "its run was cancelled",
            RunStatus::Failing { .. } => "its run failed",
            _ => "the step it is part of ended",
        });
        for task in &to_cancel {
            // A row that cannot be cancelled has ended: what is in memory is behind what another server wrote.
            self.scratch.stale |= self.cancel(*task, &reason)?.is_err();
        }
        if !to_cancel.is_empty() {
            // Every cancelled task touched the run again; what is left is done in the next turn.
            self.scratch.touched.remove(&id);
            if self.cache.run(id).is_some_and(|run| !run.to_cancel.is_empty() || run.has_ready() || run.has_done()) {
                self.scratch.more.insert(id);
            }
        }
        Ok(())
    }

    /// Ends a run that has nothing left to do.
    fn complete(&mut self, id: RunId) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        match run.completion() {
            None => Ok(()),
            Some(Completion::Tail(scope)) => {
                let events = OpenTail(scope).decide(run).unwrap_or_default();
                events.iter().for_each(|event| self.record(id, event));
                self.scratch.touched.insert(id);
                Ok(())
            }
            Some(Completion::Cancelled) => self.end(id, StatusKind::Cancelled, None),
            Some(Completion::Failed(task)) => {
                let general = || Arc::new(TaskError::new(Category::Internal, "a step failed"));
                let error = match (&run.status, task) {
                    (RunStatus::Failing { error }, _) => Arc::clone(error),
                    (_, Some(task)) => self.error_of(task)?,
                    (_, None) => general(),
                };
                self.end(id, StatusKind::Failed, Some(error))
            }
            Some(Completion::Outputs) => self.end(id, StatusKind::Succeeded, None),
        }
    }

    /// The run ends so, once its outputs are known and the inputs of the runs that its end starts.
    fn end(&mut self, id: RunId, status: StatusKind, error: Option<Arc<TaskError>>) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let triggers = self.directory.triggered(run.tenant, &run.workflow);
        let evaluated = match Evaluation::ending(run, status, error.clone(), triggers) {
            None => {
                let outputs = error.map_or(Ok(NewPayload::None), Err);
                Some(Evaluated::Ended { status, outputs, starts: Vec::new() })
            }
            Some(evaluation) => {
                let evaluated = evaluation.evaluate(&self.cache);
                if evaluated.is_none() {
                    self.evaluate_later(evaluation);
                }
                evaluated
            }
        };
        evaluated.map_or(Ok(()), |evaluated| self.finish_with(id, evaluated))
    }

    /// The end of a run has been evaluated on the pool.
    pub(super) fn finish(&mut self, id: RunId, evaluated: &Evaluated) -> Answer {
        if let Err(error) = self.load_run(id)? {
            return Ok(Err(error));
        }
        self.finish_with(id, evaluated.clone())?;
        Ok(Ok(()))
    }

    pub(super) fn finish_with(&mut self, id: RunId, evaluated: Evaluated) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
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
        // Somebody cancelled it meanwhile: its end is evaluated anew.
        if expected.is_some_and(|expected| expected != status) {
            return Ok(());
        }
        if outputs.is_err() && status == StatusKind::Succeeded && planted(Mutant::OutputsForgotten) {
            return Ok(());
        }
        let (outputs, error) = match outputs {
            Ok(outputs) => (self.place(&outputs)?, None),
            Err(error) => (Payload::None, Some(error)),
        };
        self.start_triggered(id, starts)?;
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let Ok(events) = (FinishRun { error }).decide(run, self.scratch.now) else { return Ok(()) };
        events.iter().for_each(|event| self.record(id, event));
        self.scratch.due_changed = true;
        let Some(run) = self.cache.change_run(id) else { return Ok(()) };
        if let RunStatus::Succeeded { outputs: place, .. } = &mut run.status {
            *place = outputs;
        }
        match run.parent {
            Some(Parent { task: Some(task), .. }) => self.tell_parent(id, task),
            _ => Ok(()),
        }
    }

    /// The step that started the run and waits for it ends.
    fn tell_parent(&mut self, id: RunId, task: TaskId) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let ending = match &run.status {
            RunStatus::Succeeded { outputs, .. } => Ok(outputs.clone()),
            RunStatus::Failed { error, .. } => {
                Err(Arc::new(TaskError { message: format!("{id}: {}", error.message), ..(**error).clone() }))
            }
            _ => Err(Arc::new(TaskError::new(Category::Cancelled, format!("{id} was cancelled")).permanent())),
        };
        self.resolve(task, ending)
    }
}
