//! Command: a worker claims a task.

use crate::{
    mutant::{Mutant, planted},
    task::{
        event::TaskEvent,
        model::{Lease, Rejection, Task, TaskState},
    },
    time::Timestamp,
};

/// Assigns the task to a worker host.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// 64 random bits.
    pub nonce: u64,
    /// Claiming host; 0 is the server's own process.
    pub host: u32,
}

impl Claim {
    /// Starts a new attempt with a new lease.
    ///
    /// # Errors
    /// When the task is not Ready.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Ready { .. } => Ok(TaskEvent::Claimed(Lease {
                epoch: if planted(Mutant::EpochReused) { task.epoch.max(1) } else { task.epoch + 1 },
                nonce: self.nonce,
                host: self.host,
                started_at: now,
            })),
            _ => Err(task.wrong_state("claimed")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::task::{Report, StateKind, submit::tests::submitted};

    /// Makes a task whose first attempt began at 2,000 ms, and its lease.
    pub(crate) fn running() -> (Task, Report) {
        let mut task = submitted(None);
        let event = Claim { nonce: 7, host: 0 }.decide(&task, Timestamp(2_000)).unwrap();
        task.evolve(&event);
        let report = Report { task: task.id, epoch: task.epoch, nonce: 7 };
        (task, report)
    }

    #[test]
    fn a_ready_task_is_claimed_with_the_next_epoch() {
        let (task, _) = running();
        assert_eq!((task.epoch, task.state.kind()), (1, StateKind::Running));
    }

    #[test]
    fn a_task_is_never_claimed_twice() {
        let (task, _) = running();
        assert!(Claim { nonce: 8, host: 0 }.decide(&task, Timestamp(2_001)).is_err());
        assert!(Claim { nonce: 8, host: 0 }.decide(&submitted(Some(9_000)), Timestamp(2_001)).is_err());
    }
}
