//! Progress of attempts on worker hosts, from their heartbeats. In memory only, because it matters only while it
//! changes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kapelle_api as api;
use kapelle_core::{TaskId, plain, task::Report};

/// Characters of a message that are kept.
const MESSAGE_MAX: usize = 500;
/// Attempts that are remembered. A heartbeat that crosses the end of its task leaves one behind; above the limit all
/// are dropped, and running ones come again with the next heartbeats.
const ATTEMPTS_MAX: usize = 100_000;

/// Progress of attempts.
#[derive(Debug, Default)]
pub struct Progress(Mutex<HashMap<TaskId, (u32, api::Progress)>>);

impl Progress {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, (u32, api::Progress)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the progress of an attempt whose lease is valid.
    pub fn tell(&self, attempt: Report, done: f64, message: Option<&str>) {
        // A value that is not a share is ignored; the heartbeat still counts.
        let done = if done.is_finite() { done.clamp(0.0, 1.0) } else { return };
        let message = message.map(|text| plain::line(text).chars().take(MESSAGE_MAX).collect());
        let mut attempts = self.lock();
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.clear();
        }
        attempts.insert(attempt.task, (attempt.epoch, api::Progress { done, message }));
    }

    /// Returns the progress of the running attempt of a task, if it has reported any.
    pub fn of(&self, task: TaskId, epoch: u32) -> Option<api::Progress> {
        self.lock().get(&task).filter(|(of, _)| *of == epoch).map(|(_, progress)| progress.clone())
    }

    /// Removes a task that has ended. Called by the loop: must be quick.
    pub fn forget(&self, task: TaskId) {
        self.lock().remove(&task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_that_of_the_running_attempt_and_ends_with_the_task() {
        let progress = Progress::default();
        let first = Report { task: TaskId(7), epoch: 1, nonce: 3 };
        progress.tell(first, 0.5, Some(&"x".repeat(2 * MESSAGE_MAX)));
        let told = progress.of(TaskId(7), 1).unwrap();
        assert!((told.done - 0.5).abs() < f64::EPSILON);
        assert_eq!(told.message.unwrap().len(), MESSAGE_MAX);
        assert_eq!(progress.of(TaskId(7), 2), None, "another attempt begins anew");
        progress.tell(first, f64::NAN, None);
        progress.tell(first, 7.0, None);
        assert!((progress.of(TaskId(7), 1).unwrap().done - 1.0).abs() < f64::EPSILON);
        progress.forget(TaskId(7));
        assert_eq!(progress.of(TaskId(7), 1), None);
    }
}
