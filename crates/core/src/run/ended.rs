//! Command: a task of the run has ended.

use std::sync::Arc;

use super::{
    event::{Outcome, RunEvent},
    model::{Run, RunRejection, RunStatus},
    order::Reaction,
    scope::{Phase, Scope, ScopeId, ScopeKind, Slot},
};
use crate::{
    TaskError,
    definition::{OnError, OnItemError},
    id::TaskId,
    mutant::{Mutant, planted},
};

/// End of a task.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TaskEnded {
    pub scope: ScopeId,
    pub slot: Slot,
    pub task: TaskId,
    /// Result.
    pub outcome: Outcome,
    /// Error of a task that did not succeed.
    pub error: Option<Arc<TaskError>>,
}

/// End of a slot, with or without a task.
pub(super) struct Ending {
    pub scope: ScopeId,
    pub slot: Slot,
    pub task: TaskId,
    pub outcome: Outcome,
}

impl TaskEnded {
    /// Ends the step; a failure that is not tolerated makes its scope fail, or the run.
    ///
    /// # Errors
    /// When the step is not open, or the run has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        let TaskEnded { scope, slot, task, outcome, error } = self;
        if run.status.kind().is_terminal() {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let ended = RunEvent::StepEnded { scope, slot, task, outcome };
        if run.to_cancel.contains(&task) {
            return Ok(vec![ended]);
        }
        let state = run.slot(scope, slot).filter(|state| state.task == Some(task));
        let phase = state.map_or(Phase::Skipped, |state| state.phase);
        if phase != Phase::Open {
            return Err(RunRejection::WrongPhase { run: run.id, step: run.path(scope, slot), phase });
        }
        let mut events = vec![ended];
        events.extend(run.failure(&Ending { scope, slot, task, outcome }, error.as_ref()));
        Ok(events)
    }
}

impl Run {
    /// Returns the events of a slot that did not succeed. A step that was cancelled by hand counts as a failure: its
    /// answer is missing for good.
    pub(super) fn failure(&self, ending: &Ending, error: Option<&Arc<TaskError>>) -> Vec<RunEvent> {
        let Ending { scope, slot, task, outcome } = *ending;
        let (Some(state), Some(step)) = (self.scopes.get(&scope), self.step(scope, slot)) else { return Vec::new() };
        if outcome == Outcome::Succeeded || state.dead {
            return Vec::new();
        }
        let failed = |stops| vec![RunEvent::ScopeFailed { scope, task, stops }];
        let block = match &state.kind {
            ScopeKind::Items(_) => {
                let collect = step.for_each.as_ref().is_some_and(|list| list.on_item_error == OnItemError::Collect);
                return if collect { Vec::new() } else { failed(self.first_of(scope).is_none()) };
            }
            ScopeKind::Turns(_) => return failed(true),
            ScopeKind::Block(block) => block,
        };
        // A handler that fails itself makes the step that failed count.
        let step = match block.handled(slot) {
            None => match (step.on_error, outcome) {
                (OnError::Continue, _) | (OnError::Run(_), Outcome::Failed) => return Vec::new(),
                _ => step,
            },
            Some(failing) => match self.definition.block(block.block).steps.get(failing.0 as usize) {
                Some(failing) => failing,
                None => step,
            },
        };
        let own = state.outermost == ScopeId::ROOT && matches!(self.status, RunStatus::Running);
        match self.order.on_failure(step) {
            // The others may still be enough.
            _ if self.first_of(scope).is_some() => failed(false),
            Reaction::Stop => failed(true),
            Reaction::GoOn => failed(false),
            Reaction::FailFast if !own => failed(true),
            Reaction::FailFast => {
                let general = || Arc::new(TaskError::new(crate::Category::Internal, "a step failed"));
                let error = error.map_or_else(general, Arc::clone);
                vec![RunEvent::ScopeFailed { scope, task, stops: true }, RunEvent::Failing { error }]
            }
        }
    }

    /// Returns the number of successes that a scope waits for, if it does not wait for all of its slots.
    #[must_use]
    pub fn first_of(&self, id: ScopeId) -> Option<u32> {
        let scope = self.scopes.get(&id)?;
        let (outer, slot) = scope.parent?;
        let step = self.step(outer, slot)?;
        match scope.kind {
            ScopeKind::Items(_) => step.first,
            // With `for_each` it counts the items, and not the steps inside of each.
            ScopeKind::Block(_) if step.for_each.is_none() => step.first,
            _ => None,
        }
    }

    /// Tells whether enough slots of a scope have succeeded, if it does not wait for all of them.
    pub(super) fn has_enough(&self, id: ScopeId) -> bool {
        let succeeded = match self.scopes.get(&id) {
            Some(Scope { dead: false, closed: false, satisfied: false, kind, .. }) => match kind {
                ScopeKind::Block(block) => block.succeeded,
                ScopeKind::Items(items) => items.succeeded,
                ScopeKind::Turns(_) => 0,
            },
            _ => 0,
        };
        let enough = !planted(Mutant::FirstIgnored);
        enough && succeeded > 0 && self.first_of(id).is_some_and(|first| succeeded >= first)
    }

    /// Returns the task of the step whose failure the slot handles, if it handles one.
    pub(super) fn handled_failure(&self, scope: ScopeId, slot: Slot) -> Option<TaskId> {
        match &self.scopes.get(&scope)?.kind {
            ScopeKind::Block(block) => block.slots.get(block.handled(slot)?.0 as usize)?.task,
            _ => None,
        }
    }
}
