//! An attempt ends without an answer and without blame.

use crate::{
    task::{
        event::TaskEvent,
        model::{Rejection, Report, Task, TaskState},
        rank::Ageing,
    },
    time::Timestamp,
};

/// A worker gives the task back, as it does when it shuts down.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The lease of the attempt.
    pub report: Report,
    /// What a point of priority is worth.
    pub ageing: Ageing,
}

impl Release {
    /// Ready again; nothing is counted against the task.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] when the attempt does not hold the task.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        task.lease(&self.report)?;
        Ok(TaskEvent::Ready { rank: self.ageing.rank(task.priority, now) })
    }
}

/// The server finds, at its start, an attempt that ran inside its former process.
#[derive(Debug, Clone, Copy)]
pub struct Void {
    /// What a point of priority is worth.
    pub ageing: Ageing,
}

impl Void {
    /// Ready again. The server died with the worker, so the task is not blamed for it.
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
