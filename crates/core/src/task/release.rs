//! Commands: an attempt ends without an answer and without blame.

use crate::{
    task::{
        event::TaskEvent,
        model::{Rejection, Report, Task, TaskState},
        rank::Ageing,
    },
    time::Timestamp,
};

/// Releases the task, as a worker does when it shuts down.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// Lease of the attempt.
    pub report: Report,
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl Release {
    /// Makes the task ready again; nothing is counted against it.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] when the attempt does not hold the task.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        task.lease(&self.report)?;
        Ok(TaskEvent::Ready { rank: self.ageing.rank(task.priority, now) })
    }
}

/// Voids an attempt that ran inside the server's former process, at a start.
#[derive(Debug, Clone, Copy)]
pub struct Void {
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl Void {
    /// Makes the task ready again. The attempt ended with the server, so the task is not blamed.
    ///
    /// # Errors
    /// When the task is not Running.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        match task.state {
            TaskState::Running(_) => Ok(TaskEvent::Ready { rank: self.ageing.rank(task.priority, now) }),
            _ => Err(task.wrong_state("made void")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{StateKind, claim::tests::running, submit::tests::submitted};

    #[test]
    fn a_release_and_a_restart_count_nothing() {
        let ageing = Ageing::default();
        let (mut task, report) = running();
        let event = Release { report, ageing }.decide(&task, Timestamp(3_000)).unwrap();
        task.evolve(&event);
        assert_eq!((task.state.kind(), task.failures, task.crashes), (StateKind::Ready, 0, 0));
        assert!(Release { report, ageing }.decide(&task, Timestamp(3_000)).is_err());

        let (mut task, report) = running();
        let event = Void { ageing }.decide(&task, Timestamp(3_000)).unwrap();
        task.evolve(&event);
        assert_eq!((task.state.kind(), task.failures, task.crashes), (StateKind::Ready, 0, 0));
        assert!(task.lease(&report).is_err());
        assert!(Void { ageing }.decide(&submitted(None), Timestamp(3_000)).is_err());
    }
}
