//! Detection of a run that is open and waits for nothing. This must never happen: it is a fault of Kapelle, and the run
//! is ended.

use std::sync::Arc;

use super::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
};
use crate::{Category, TaskError};

/// Beginning of the error of such a run.
pub const STUCK: &str = "the run had nothing left to wait for";

impl Run {
    /// Tells whether the run is open although no row of it and no pending action moves it on. The caller knows that no
    /// expression of it is being evaluated. Reads the scopes only when there are about as many as open rows.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let ends = self.status.kind().is_terminal();
        let about_to = self.has_ready() || self.has_done() || !self.to_cancel.is_empty();
        if ends || about_to || self.paused.is_some() || self.open_tasks as usize > self.scopes.len() {
            return false;
        }
        // A row that holds a scope waits for that scope, and for nothing outside.
        let holds = self.scopes.values().filter(|scope| scope.parent.is_some() && !scope.closed).count();
        self.open_tasks as usize <= holds
    }
}

/// Ends a stuck run of which steps have not ended.
#[derive(Debug, Clone)]
pub struct Abandon {
    /// Error to record.
    pub error: Arc<TaskError>,
}

impl Abandon {
    /// Fails the run once its open tasks have been cancelled and the end part is done. If the end part is stuck as
    /// well, it is cancelled.
    ///
    /// # Errors
    /// When it has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        match &run.status {
            RunStatus::Running => Ok(vec![RunEvent::Failing { error: self.error }]),
            RunStatus::Failing { .. } | RunStatus::Cancelling { .. } => {
                Ok(vec![RunEvent::CancelRequested { reason: Arc::from(self.error.message.as_str()) }])
            }
            status => Err(RunRejection::NotRunning { run: run.id, status: status.kind() }),
        }
    }
}

impl Run {
    /// Returns the error of a stuck run.
    #[must_use]
    pub fn stuck_error(&self) -> TaskError {
        let next = format!("start it again, and report its journal (`kapelle runs explain {}`)", self.id);
        TaskError::new(Category::Internal, format!("{STUCK}; this is a fault of Kapelle: {next}")).permanent()
    }
}
