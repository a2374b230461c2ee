//! Command: a worker reports its answer.

use std::sync::Arc;

use crate::{
    Payload,
    task::{
        event::TaskEvent,
        model::{Rejection, Report, Task},
    },
    time::Timestamp,
    worker::Provenance,
};

/// The answer of one attempt.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Succeed {
    /// Lease of the attempt.
    pub report: Report,
    pub output: Payload,
    /// Origin of the answer.
    pub provenance: Arc<Provenance>,
}

impl Succeed {
    /// Accepts the answer once, from the attempt that holds the task.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] otherwise.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        if crate::mutant::planted(crate::mutant::Mutant::NoFence) {
            task.still_open()?;
        } else {
            task.lease(&self.report)?;
        }
        Ok(TaskEvent::Succeeded { output: self.output, provenance: self.provenance, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{StateKind, claim::tests::running, submit::tests::submitted};

    fn succeed(report: Report) -> Succeed {
        Succeed { report, output: Payload::None, provenance: Arc::default() }
    }

    #[test]
    fn the_holder_is_accepted_once() {
        let (mut task, report) = running();
        let event = succeed(report).decide(&task, Timestamp(2_500)).unwrap();
        task.evolve(&event);
        assert_eq!(task.state.kind(), StateKind::Succeeded);
        assert_eq!(succeed(report).decide(&task, Timestamp(2_600)), Err(Rejection::LeaseLost(task.id)));
    }

    #[test]
    fn any_other_lease_is_refused() {
        let (task, report) = running();
        for stale in [Report { epoch: 0, ..report }, Report { epoch: 2, ..report }, Report { nonce: 8, ..report }] {
            assert_eq!(succeed(stale).decide(&task, Timestamp(2_500)), Err(Rejection::LeaseLost(task.id)));
        }
        assert!(succeed(report).decide(&submitted(None), Timestamp(2_500)).is_err());
    }
}
