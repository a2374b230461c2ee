//! Command: cancel a task.

use std::sync::Arc;

use crate::{
    task::{
        event::TaskEvent,
        model::{Rejection, Task},
    },
    time::Timestamp,
};

/// Cancels the task in any state.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// User or reason of the request.
    pub reason: Arc<str>,
}

impl Cancel {
    /// Cancels at once: a running attempt loses its lease, so a late answer changes nothing.
    ///
    /// # Errors
    /// [`Rejection::Ended`] when it has ended, with its final state.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        task.still_open()?;
        Ok(TaskEvent::Cancelled { reason: self.reason, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{StateKind, claim::tests::running, submit::tests::submitted};

    #[test]
    fn every_open_state_can_be_cancelled_once() {
        for mut task in [submitted(None), submitted(Some(9_000)), running().0] {
            let cancel = Cancel { reason: Arc::from("by hand") };
            let event = cancel.clone().decide(&task, Timestamp(4_000)).unwrap();
            task.evolve(&event);
            assert_eq!(task.state.kind(), StateKind::Cancelled);
            assert!(matches!(cancel.decide(&task, Timestamp(4_000)), Err(Rejection::Ended { .. })));
        }
    }
}
