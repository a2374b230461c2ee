//! Command: cancel a run.

use std::sync::Arc;

use super::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
};

/// Cancels the run. The caller cancels its open tasks, turn by turn; then the definition's `on_cancel` runs, and the
/// run is Cancelled. A second request cancels `on_cancel` as well.
#[derive(Debug, Clone)]
pub struct CancelRun {
    /// User or reason of the request.
    pub reason: Arc<str>,
}

impl CancelRun {
    /// Allows only the end part of the run to start steps from now on.
    ///
    /// # Errors
    /// When it has been requested twice already, or the run has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        match run.status {
            RunStatus::Running | RunStatus::Failing { .. } | RunStatus::Cancelling { hard: false, .. } => {
                Ok(vec![RunEvent::CancelRequested { reason: self.reason }])
            }
            _ => Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() }),
        }
    }
}
