//! Commands: a time has come, or a user retries a task.

use crate::{
    task::{
        event::TaskEvent,
        model::{Rejection, Task, TaskState},
        rank::Ageing,
    },
    time::Timestamp,
};

/// Wakes a scheduled or retrying task at its time.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl Wake {
    /// Makes it ready.
    ///
    /// # Errors
    /// When the task does not wait for a time, or the time has not come.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Scheduled { at } | TaskState::Retrying { at, .. } if at <= now => {
                Ok(TaskEvent::Ready { rank: self.ageing.rank(task.priority, now) })
            }
            _ => Err(task.wrong_state("woken")),
        }
    }
}

/// Retries a failed task, with its counts at zero.
#[derive(Debug, Clone, Copy)]
pub struct RetryByHand {
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl RetryByHand {
    /// Makes it ready. Only a failed task outside of a run: a run has already continued without it.
    ///
    /// # Errors
    /// In any other state.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Failed { .. } if task.origin.is_none() => {
                Ok(TaskEvent::Revived { rank: self.ageing.rank(task.priority, now) })
            }
            _ => Err(task.wrong_state("retried")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TaskError,
        failure::Category,
        task::{Fail, StateKind, claim::tests::running, submit::tests::submitted},
    };

    const WAKE: Wake = Wake { ageing: Ageing::OFF };

    #[test]
    fn a_scheduled_task_wakes_at_its_time_not_before() {
        let mut task = submitted(Some(5_000));
        assert!(WAKE.decide(&task, Timestamp(4_999)).is_err());
        let event = WAKE.decide(&task, Timestamp(5_000)).unwrap();
        task.evolve(&event);
        assert_eq!(task.state.kind(), StateKind::Ready);
        assert!(WAKE.decide(&task, Timestamp(6_000)).is_err());
    }

    #[test]
    fn a_failed_task_can_be_put_back_by_hand() {
        let (mut task, report) = running();
        let again = RetryByHand { ageing: Ageing::OFF };
        assert!(again.decide(&task, Timestamp(5_000)).is_err());
        let error = TaskError::new(Category::InvalidInput, "no");
        let failed = Fail { report, error, random: 0 }.decide(&task, Timestamp(3_000)).unwrap();
        task.evolve(&failed);
        let event = again.decide(&task, Timestamp(5_000)).unwrap();
        task.evolve(&event);
        assert_eq!((task.state.kind(), task.failures, task.epoch), (StateKind::Ready, 0, 1));
    }
}
