//! A task of the run has ended.

use crate::{
    definition::OnError,
    id::TaskId,
    run::{
        event::{Outcome, RunEvent},
        model::{Phase, Run, RunRejection, ScopeId, Slot},
    },
};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskEnded {
    /// Where.
    pub scope: ScopeId,
    /// Which step.
    pub slot: Slot,
    /// The task.
    pub task: TaskId,
    /// How.
    pub outcome: Outcome,
}

impl TaskEnded {
    /// The step ends; a failure that is not tolerated stops the run.
    ///
    /// # Errors
    /// When the step is not open, or the run has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        let TaskEnded { scope, slot, task, outcome } = self;
        if run.status.kind().is_terminal() {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let phase = run.slot(scope, slot).map_or(Phase::Skipped, |state| state.phase);
        if phase != Phase::Open {
            return Err(RunRejection::WrongPhase { run: run.id, step: run.path(scope, slot), phase });
        }
        let mut events = vec![RunEvent::StepEnded { scope, slot, outcome }];
        // A step that was cancelled by hand stops its run as a failure does: its answer is missing for good.
        if outcome != Outcome::Succeeded && run.stops_on_failure(scope, slot) {
            events.push(RunEvent::Stopping { task });
        }
        Ok(events)
    }
}

impl Run {
    /// Whether a failure of that step is the first to stop the run.
    pub(super) fn stops_on_failure(&self, scope: ScopeId, slot: Slot) -> bool {
        let tolerated = self.step(scope, slot).is_some_and(|step| matches!(step.on_error, OnError::Continue));
        self.stopped_by.is_none() && !tolerated
    }
}
