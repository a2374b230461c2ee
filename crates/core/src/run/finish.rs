//! End of a run: its end part, and the last event.

use std::{ops::ControlFlow, sync::Arc};

use super::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
    scope::ScopeId,
};
use crate::{
    TaskError,
    id::TaskId,
    mutant::{Mutant, planted},
    time::Timestamp,
};

/// Remaining work once every step has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The steps of the run's `on_error`, `on_cancel` or `finally` are to begin.
    Tail(ScopeId),
    /// The definition's `outputs` are to be evaluated before the run finishes.
    Outputs,
    /// A step failed: the run finishes with that step's error, or without a step with that of the status.
    Failed(Option<TaskId>),
    /// The run was cancelled and its last task has ended: it finishes.
    Cancelled,
}

/// Begins the steps of the run's `on_error`, `on_cancel` or `finally`.
#[derive(Debug, Clone, Copy)]
pub struct OpenTail(pub ScopeId);

impl OpenTail {
    /// Opens the block.
    ///
    /// # Errors
    /// When another block comes first.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        if run.completion() == Some(Completion::Tail(self.0)) {
            Ok(vec![RunEvent::TailOpened { scope: self.0 }])
        } else {
            Err(RunRejection::Unfinished(run.id))
        }
    }
}

/// Ends the run.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishRun {
    /// Error of a run that failed by a step or by its outputs.
    pub error: Option<Arc<TaskError>>,
}

impl FinishRun {
    /// Returns the last event.
    ///
    /// # Errors
    /// When there is still work to do, or it has ended.
    pub fn decide(self, run: &Run, now: Timestamp) -> Result<Vec<RunEvent>, RunRejection> {
        if run.status.kind().is_terminal() {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let failed = |error| RunEvent::Failed { error, at: now };
        let last = match run.completion() {
            None | Some(Completion::Tail(_)) => return Err(RunRejection::Unfinished(run.id)),
            Some(Completion::Cancelled) => RunEvent::Cancelled { at: now },
            Some(Completion::Outputs) => match self.error {
                Some(error) => failed(error),
                None => RunEvent::Succeeded { at: now },
            },
            Some(Completion::Failed(_)) => match (&run.status, self.error) {
                (RunStatus::Failing { error }, _) => failed(Arc::clone(error)),
                (_, Some(error)) => failed(error),
                (_, None) => failed(Arc::new(TaskError::new(crate::Category::Internal, "a step failed"))),
            },
        };
        Ok(vec![last])
    }
}

impl Run {
    /// Returns the remaining work once every step has ended. It follows from the state alone, so a crash loses nothing.
    #[must_use]
    pub fn completion(&self) -> Option<Completion> {
        let ended = self.to_cancel.is_empty() || planted(Mutant::CancelLeavesTasks);
        match self.status {
            _ if !ended => None,
            RunStatus::Running => {
                let root = self.scopes.get(&ScopeId::ROOT).filter(|root| root.is_done())?;
                let failed = root.failed_by;
                let tails: &[ScopeId] =
                    if failed.is_some() { &[ScopeId::ON_ERROR, ScopeId::FINALLY] } else { &[ScopeId::FINALLY] };
                if let ControlFlow::Break(next) = self.tails(tails) {
                    return next;
                }
                let finally = self.scopes.get(&ScopeId::FINALLY).and_then(|scope| scope.failed_by);
                Some(match failed.or(finally) {
                    None => Completion::Outputs,
                    failed => Completion::Failed(failed),
                })
            }
            RunStatus::Failing { .. } => match self.tails(&[ScopeId::ON_ERROR, ScopeId::FINALLY]) {
                ControlFlow::Break(next) => next,
                ControlFlow::Continue(()) => Some(Completion::Failed(None)),
            },
            RunStatus::Cancelling { hard, .. } => {
                // `finally` may be in progress when the cancel came late: then no other block is begun.
                let late = self.scopes.contains_key(&ScopeId::FINALLY);
                let tails: &[ScopeId] = match (hard, late) {
                    (true, _) => &[],
                    (false, true) => &[ScopeId::FINALLY],
                    (false, false) => &[ScopeId::ON_CANCEL, ScopeId::FINALLY],
                };
                let tails = if planted(Mutant::FinallySkipped) { &[] } else { tails };
                match self.tails(tails) {
                    ControlFlow::Break(next) => next,
                    ControlFlow::Continue(()) => Some(Completion::Cancelled),
                }
            }
            _ => None,
        }
    }

    /// Returns the first of these blocks that was not opened or is not done.
    fn tails(&self, tails: &[ScopeId]) -> ControlFlow<Option<Completion>> {
        for tail in tails.iter().filter(|tail| self.tail_block(**tail).is_some()) {
            match self.scopes.get(tail) {
                None => return ControlFlow::Break(Some(Completion::Tail(*tail))),
                Some(scope) if !scope.is_done() => return ControlFlow::Break(None),
                Some(_) => {}
            }
        }
        ControlFlow::Continue(())
    }
}
