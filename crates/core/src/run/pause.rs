//! A run is paused and goes on.

use super::{
    event::RunEvent,
    model::{Run, RunRejection},
};
use crate::time::Timestamp;

/// Nothing begins until it is resumed; what runs goes on.
#[derive(Debug, Clone, Copy)]
pub struct PauseRun;

impl PauseRun {
    /// The run is paused.
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

/// It goes on.
#[derive(Debug, Clone, Copy)]
pub struct ResumeRun;

impl ResumeRun {
    /// The run goes on.
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
