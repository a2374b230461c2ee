//! Command: refuse a task that may not start and may not wait.

use std::sync::Arc;

use crate::{
    TaskError,
    task::{
        event::TaskEvent,
        model::{Rejection, Task, TaskState},
    },
    time::Timestamp,
};

/// Ends a task that could start but for a limit whose rule is to reject.
#[derive(Debug, Clone)]
pub struct Refuse {
    /// Error of the refusal.
    pub error: Arc<TaskError>,
}

impl Refuse {
    /// Fails without an attempt.
    ///
    /// # Errors
    /// When it is not Ready.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Ready { .. } => {
                Ok(TaskEvent::Failed { error: self.error, dead: false, crashed: false, at: now })
            }
            _ => Err(task.wrong_state("refused")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        failure::Category,
        task::{StateKind, claim::tests::running, submit::tests::submitted},
    };

    #[test]
    fn only_what_has_not_begun_is_refused() {
        let refuse = Refuse { error: Arc::new(TaskError::new(Category::RateLimited, "full").permanent()) };
        assert!(refuse.clone().decide(&running().0, Timestamp(3)).is_err());
        let mut task = submitted(None);
        let event = refuse.decide(&task, Timestamp(3)).unwrap();
        task.evolve(&event);
        assert_eq!((task.state.kind(), task.failures, task.epoch), (StateKind::Failed, 0, 0));
    }
}
