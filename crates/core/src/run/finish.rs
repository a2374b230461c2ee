//! A run has nothing left to do.

use std::sync::Arc;

use crate::{
    TaskError,
    run::{
        event::RunEvent,
        model::{Run, RunRejection, RunStatus, ScopeId},
    },
    time::Timestamp,
};

/// What is left to be done once every step has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Evaluate the definition's `outputs`, then finish.
    Outputs,
    /// A step stopped it: finish with that step's error.
    Stopped,
    /// It was cancelled and its last task has ended: finish.
    Cancelled,
}

/// Ends the run.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishRun {
    /// Why it failed, when a step stopped it or its outputs could not be evaluated.
    pub error: Option<Arc<TaskError>>,
}

impl FinishRun {
    /// The last event.
    ///
    /// # Errors
    /// When there is still something to do, or it has ended.
    pub fn decide(self, run: &Run, now: Timestamp) -> Result<Vec<RunEvent>, RunRejection> {
        if run.status.kind().is_terminal() {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let completion = run.completion().ok_or(RunRejection::Unfinished(run.id))?;
        Ok(vec![match (completion, self.error) {
            (Completion::Cancelled, _) => RunEvent::Cancelled { at: now },
            (_, Some(error)) => RunEvent::Failed { error, at: now },
            (Completion::Stopped, None) => {
                let error = TaskError::new(crate::Category::Internal, "a step failed");
                RunEvent::Failed { error: Arc::new(error), at: now }
            }
            (Completion::Outputs, None) => RunEvent::Succeeded { at: now },
        }])
    }
}

impl Run {
    /// What is left to be done, once every step has ended. Follows from the state alone, so a crash loses nothing.
    #[must_use]
    pub fn completion(&self) -> Option<Completion> {
        let unfinished = self.scopes.get(&ScopeId::ROOT).map_or(0, |scope| scope.unfinished);
        match self.status {
            RunStatus::Running if unfinished == 0 && self.stopped_by.is_some() => Some(Completion::Stopped),
            RunStatus::Running if unfinished == 0 => Some(Completion::Outputs),
            RunStatus::Cancelling { .. } if self.open_tasks == 0 => Some(Completion::Cancelled),
            _ => None,
        }
    }
}
