//! Commands: hold, lift and park a task.

use crate::{
    money::Money,
    task::{
        event::TaskEvent,
        model::{Rejection, Task, TaskState},
        rank::Ageing,
        reason::HoldReason,
    },
    time::Timestamp,
};

/// Holds a ready task until the reason is gone.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// Reason of the hold.
    pub reason: HoldReason,
}

impl Hold {
    /// Holds, with its rank kept.
    ///
    /// # Errors
    /// When it is not Ready.
    pub fn decide(self, task: &Task) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Ready { rank } => Ok(TaskEvent::Held { reason: self.reason, rank }),
            _ => Err(task.wrong_state("held")),
        }
    }
}

/// Makes a held or parked task ready again.
#[derive(Debug, Clone, Copy)]
pub struct Lift;

impl Lift {
    /// Makes it ready, at its old rank.
    ///
    /// # Errors
    /// When it is neither Held nor Parked.
    pub fn decide(self, task: &Task) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Held { rank, .. } | TaskState::Parked { rank, .. } => Ok(TaskEvent::Ready { rank }),
            _ => Err(task.wrong_state("lifted")),
        }
    }
}

/// Parks a task whose next call does not fit the budget.
#[derive(Debug, Clone, Copy)]
pub struct Park {
    /// Highest cost of the call.
    pub needs: Money,
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl Park {
    /// Parks the task without using up an attempt.
    ///
    /// # Errors
    /// When it is neither Ready nor Running.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Ready { rank } => Ok(TaskEvent::Parked { rank, needs: self.needs }),
            TaskState::Running(_) => {
                Ok(TaskEvent::Parked { rank: self.ageing.rank(task.priority, now), needs: self.needs })
            }
            _ => Err(task.wrong_state("parked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{StateKind, claim::tests::running, submit::tests::submitted};

    #[test]
    fn a_held_task_keeps_its_place() {
        let mut task = submitted(None);
        let before = task.state.clone();
        let held = Hold { reason: HoldReason::KeyLimit }.decide(&task).unwrap();
        task.evolve(&held);
        assert_eq!(task.state.kind(), StateKind::Held);
        assert!(Hold { reason: HoldReason::KeyLimit }.decide(&task).is_err());
        let lifted = Lift.decide(&task).unwrap();
        task.evolve(&lifted);
        assert_eq!(task.state, before);
        assert!(Lift.decide(&task).is_err());
    }

    #[test]
    fn parking_uses_up_no_attempt() {
        let park = Park { needs: Money(5), ageing: Ageing::default() };
        for mut task in [submitted(None), running().0] {
            let parked = park.decide(&task, Timestamp(3_000)).unwrap();
            task.evolve(&parked);
            assert_eq!((task.state.kind(), task.failures), (StateKind::Parked, 0));
            assert!(park.decide(&task, Timestamp(3_000)).is_err());
            let lifted = Lift.decide(&task).unwrap();
            task.evolve(&lifted);
            assert_eq!(task.state.kind(), StateKind::Ready);
        }
    }
}
