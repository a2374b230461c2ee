//! Somebody ends a run.

use std::sync::Arc;

use crate::run::{
    event::RunEvent,
    model::{Run, RunRejection, RunStatus},
};

/// Ends the run. Its open tasks are cancelled by the caller, turn by turn; the last one's end makes it Cancelled.
#[derive(Debug, Clone)]
pub struct CancelRun {
    /// By whom or why.
    pub reason: Arc<str>,
}

impl CancelRun {
    /// No step starts from now on.
    ///
    /// # Errors
    /// When it is already being cancelled, or has ended.
    pub fn decide(self, run: &Run) -> Result<Vec<RunEvent>, RunRejection> {
        match run.status {
            RunStatus::Running => Ok(vec![RunEvent::CancelRequested { reason: self.reason }]),
            _ => Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() }),
        }
    }
}
