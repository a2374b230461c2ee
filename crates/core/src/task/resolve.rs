//! Commands: the event of a waiting step has come, or has not come in time.

use std::sync::Arc;

use super::{
    event::TaskEvent,
    model::{Rejection, Task, TaskState},
    wait::WaitFor,
};
use crate::{Payload, TaskError, definition::OnTimeout, failure::Category, time::Timestamp, worker::Provenance};

/// Ends a waiting step.
#[derive(Debug, Clone)]
pub struct Resolve {
    /// Output, or the error.
    pub ending: Result<Payload, Arc<TaskError>>,
}

impl Resolve {
    /// Succeeds or fails the step.
    ///
    /// # Errors
    /// When it does not wait.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        if !matches!(task.state, TaskState::Waiting(_)) {
            return Err(task.wrong_state("resolved"));
        }
        Ok(match self.ending {
            Ok(output) => TaskEvent::Succeeded { output, provenance: Arc::new(Provenance::default()), at: now },
            Err(error) => TaskEvent::Failed { error, dead: false, crashed: false, at: now },
        })
    }
}

/// Ends a waiting step at its time limit.
#[derive(Debug, Clone, Copy)]
pub struct Elapse;

impl Elapse {
    /// Ends the wait: a timer succeeds, a timeout fails or succeeds without output, as its step says.
    ///
    /// # Errors
    /// When it does not wait for a time, or the time has not come.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        let TaskState::Waiting(wait) = &task.state else { return Err(task.wrong_state("woken")) };
        if wait.until().is_none_or(|until| until > now) {
            return Err(task.wrong_state("woken"));
        }
        let what = match wait {
            WaitFor::Signal { name, on_timeout: OnTimeout::Fail, .. } => {
                format!("the signal `{name}` did not arrive in time")
            }
            WaitFor::Approval { on_timeout: OnTimeout::Fail, .. } => "nobody approved it in time".to_owned(),
            _ => return Resolve { ending: Ok(Payload::None) }.decide(task, now),
        };
        let error = Arc::new(TaskError::new(Category::Timeout, what).permanent());
        Resolve { ending: Err(error) }.decide(task, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{approval::ApprovalRule, task::submit::tests::submitted};

    fn waiting(wait: WaitFor) -> Task {
        Task { state: TaskState::Waiting(wait), ..submitted(None) }
    }

    #[test]
    fn a_timer_ends_well_and_not_before_its_time() {
        let task = waiting(WaitFor::Timer { until: Timestamp(50) });
        assert!(Elapse.decide(&task, Timestamp(49)).is_err());
        assert!(matches!(Elapse.decide(&task, Timestamp(50)), Ok(TaskEvent::Succeeded { .. })));
        assert!(Elapse.decide(&submitted(None), Timestamp(50)).is_err());
    }

    #[test]
    fn what_comes_too_late_ends_as_its_step_says() {
        let signal = |on_timeout| {
            waiting(WaitFor::Signal { name: crate::Name::new("go"), until: Some(Timestamp(50)), on_timeout })
        };
        let failed = Elapse.decide(&signal(OnTimeout::Fail), Timestamp(60));
        assert!(matches!(failed, Ok(TaskEvent::Failed { error, .. }) if error.message.contains("`go`")));
        assert!(matches!(Elapse.decide(&signal(OnTimeout::Continue), Timestamp(60)), Ok(TaskEvent::Succeeded { .. })));
        let forever =
            waiting(WaitFor::Approval { until: None, on_timeout: OnTimeout::Fail, rule: ApprovalRule::default() });
        assert!(Elapse.decide(&forever, Timestamp(i64::MAX)).is_err());
    }

    #[test]
    fn only_what_waits_is_resolved() {
        let ended = Resolve { ending: Ok(Payload::None) }.decide(&submitted(None), Timestamp(1));
        assert!(matches!(ended, Err(Rejection::WrongState { verb: "resolved", .. })));
    }
}
