//! Command: a deadline has passed.

use std::sync::Arc;

use crate::{
    TaskError,
    failure::Category,
    task::{
        event::TaskEvent,
        model::{Rejection, Task},
    },
    time::Timestamp,
};

/// Ends a task whose deadline has passed, or that was not begun within its time-to-live.
#[derive(Debug, Clone, Copy)]
pub struct Expire;

impl Expire {
    /// Fails with `timeout`.
    ///
    /// # Errors
    /// When it has ended, or no limit has passed.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        task.still_open()?;
        let message = if task.policy.deadline.is_some_and(|deadline| deadline <= now) {
            "the deadline passed before the task was done"
        } else if task.epoch == 0 && task.policy.expires.is_some_and(|expires| expires <= now) {
            "the time-to-live passed before the first attempt began"
        } else {
            return Err(task.wrong_state("expired"));
        };
        let error = Arc::new(TaskError::new(Category::Timeout, message).permanent());
        Ok(TaskEvent::Failed { error, dead: false, crashed: false, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Policy, StateKind, claim::tests::running, submit::tests::submitted};

    fn limited(mut task: Task, deadline: Option<i64>, expires: Option<i64>) -> Task {
        task.policy = Arc::new(Policy {
            deadline: deadline.map(Timestamp),
            expires: expires.map(Timestamp),
            ..Policy::default()
        });
        task
    }

    #[test]
    fn a_deadline_ends_waiting_and_running_tasks() {
        for task in [submitted(None), submitted(Some(9_000)), running().0] {
            let mut task = limited(task, Some(5_000), None);
            assert_eq!(task.due_at(), Some(Timestamp(5_000)));
            assert!(Expire.decide(&task, Timestamp(4_999)).is_err());
            let event = Expire.decide(&task, Timestamp(5_000)).unwrap();
            task.evolve(&event);
            assert_eq!(task.state.kind(), StateKind::Failed);
            assert!(Expire.decide(&task, Timestamp(5_001)).is_err());
        }
    }

    #[test]
    fn the_time_to_live_counts_only_until_the_first_attempt() {
        let waiting = limited(submitted(None), None, Some(5_000));
        assert!(Expire.decide(&waiting, Timestamp(5_000)).is_ok());
        let begun = limited(running().0, None, Some(5_000));
        assert_eq!(begun.due_at(), None);
        assert!(Expire.decide(&begun, Timestamp(5_000)).is_err());
    }
}
