//! Somebody ends a run.

use std::sync::Arc;

use super::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
};

/// Ends the run. Its open tasks are cancelled by the caller, turn by turn; then what the definition wants done on a
/// cancel runs, and the run is Cancelled. Asked for again, that is ended as well.
#[derive(Debug, Clone)]
pub struct CancelRun {
    /// By whom or why.
    pub reason: Arc<str>,
}

impl CancelRun {
    /// No step starts from now on but those that run at the end.
    ///
    /// # Errors
    /// When it has been asked for twice already, or the run has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        match run.status {
            RunStatus::Running | RunStatus::Failing { .. } | RunStatus::Cancelling { hard: false, .. } => {
                Ok(vec![RunEvent::CancelRequested { reason: self.reason }])
            }
            _ => Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() }),
        }
    }
}
