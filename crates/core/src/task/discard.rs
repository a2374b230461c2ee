//! Command: discard a dead letter.

use std::sync::Arc;

use crate::{
    task::{
        event::TaskEvent,
        model::{Rejection, Task, TaskState},
    },
    time::Timestamp,
};

/// Marks a failed task as dealt with.
#[derive(Debug, Clone)]
pub struct Discard {
    /// User or reason of the request.
    pub reason: Arc<str>,
}

impl Discard {
    /// Discards for good: the task leaves the list of dead letters, and its error, attempts and payloads stay. Only a
    /// failed task outside of a run can be discarded: a step's failure is part of its run's history.
    ///
    /// # Errors
    /// In any other state.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Failed { .. } if task.origin.is_none() => {
                Ok(TaskEvent::Discarded { reason: self.reason, at: now })
            }
            _ => Err(task.wrong_state("discarded")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TaskError,
        failure::Category,
        task::{Fail, RetryByHand, StateKind, claim::tests::running, rank::Ageing, submit::tests::submitted},
    };

    #[test]
    fn a_failed_task_is_discarded_once_and_never_comes_back() {
        let discard = Discard { reason: Arc::from("the customer has left") };
        assert!(discard.clone().decide(&submitted(None), Timestamp(1)).is_err());
        let (mut task, report) = running();
        assert!(discard.clone().decide(&task, Timestamp(1)).is_err());
        let error = TaskError::new(Category::InvalidInput, "no");
        let failed = Fail { report, error, random: 0 }.decide(&task, Timestamp(3_000)).unwrap();
        task.evolve(&failed);
        let event = discard.clone().decide(&task, Timestamp(4_000)).unwrap();
        task.evolve(&event);
        assert_eq!(task.state.kind(), StateKind::Discarded);
        assert_eq!(task.ended_at(), Some(Timestamp(3_000)), "what happened stays as it was");
        assert!(discard.decide(&task, Timestamp(5_000)).is_err());
        assert!(RetryByHand { ageing: Ageing::OFF }.decide(&task, Timestamp(5_000)).is_err());
    }
}
