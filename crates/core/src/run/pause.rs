//! Commands: pause and resume a run.

use super::{
    event::RunEvent,
    model::{Run, RunRejection},
};
use crate::time::Timestamp;

/// Pauses a run: no step begins until it is resumed; running tasks continue.
#[derive(Debug, Clone, Copy)]
pub struct PauseRun;

impl PauseRun {
    /// Pauses the run.
    ///
    /// # Errors
    /// When it is paused already, or has ended.
    pub fn decide(self, run: &Run, now: Timestamp) -> Result<Vec<RunEvent>, RunRejection> {
        open(run)?;
        match run.paused {
            Some(_) => Err(RunRejection::Paused { run: run.id, paused: true }),
            None => Ok(vec![RunEvent::Paused { at: now }]),
        }
    }
}

/// Resumes a run.
#[derive(Debug, Clone, Copy)]
pub struct ResumeRun;

impl ResumeRun {
    /// Resumes the run.
    ///
    /// # Errors
    /// When it is not paused, or has ended.
    pub fn decide(self, run: &Run, now: Timestamp) -> Result<Vec<RunEvent>, RunRejection> {
        open(run)?;
        match run.paused {
            Some(_) => Ok(vec![RunEvent::Resumed { at: now }]),
            None => Err(RunRejection::Paused { run: run.id, paused: false }),
        }
    }
}

fn open(run: &Run) -> Result<(), RunRejection> {
    let status = run.status.kind();
    if status.is_terminal() { Err(RunRejection::NotRunning { run: run.id, status }) } else { Ok(()) }
}
