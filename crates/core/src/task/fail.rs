//! Command: an attempt failed, by report or by loss of its worker.

use std::sync::Arc;

use crate::{
    TaskError,
    failure::Category,
    retry::RetryPolicy,
    task::{
        event::TaskEvent,
        model::{Rejection, Report, Task},
    },
    time::Timestamp,
};

/// Number of attempts lost with their hosts or processes that makes a task poison.
pub const CRASHES_MAX: u32 = 3;

/// The failure of one attempt.
#[derive(Debug, Clone)]
pub struct Fail {
    /// Lease of the attempt.
    pub report: Report,
    /// Error of the attempt.
    pub error: TaskError,
    /// 64 random bits for the spread of the wait.
    pub random: u64,
}

impl Fail {
    /// Retries after a wait, or ends the task. The task's policy limits failures that a worker reports and crashes of
    /// its process. Attempts that were lost with their host are counted apart: their cause is not known, so the policy
    /// does not end the task, and three of them make it dead.
    ///
    /// # Errors
    /// [`Rejection::LeaseLost`] when the attempt does not hold the task.
    pub fn decide(self, task: &Task, now: Timestamp) -> Result<TaskEvent, Rejection> {
        task.lease(&self.report)?;
        let uncounted = crate::mutant::planted(crate::mutant::Mutant::CrashNotCounted);
        let crashed = self.error.category == Category::LeaseLost && !uncounted;
        let dead = crashed && task.crashes + 1 >= CRASHES_MAX;
        let counted = task.failures + task.crashes + 1;
        let wait = if dead { None } else { self.delay(task, crashed, counted) };
        let error = Arc::new(self.error);
        let too_late = |at: Timestamp| task.policy.deadline.is_some_and(|deadline| at >= deadline);
        Ok(match wait.map(|wait| now + wait) {
            Some(at) if !too_late(at) => TaskEvent::WillRetry { at, error, crashed, now },
            _ => TaskEvent::Failed { error, dead, crashed, at: now },
        })
    }

    fn delay(&self, task: &Task, crashed: bool, counted: u32) -> Option<crate::DurationMs> {
        if crashed {
            let patient = RetryPolicy { max_attempts: u32::MAX, on: None, ..task.policy.retry.clone() };
            return patient.next_delay(&self.error, counted, self.random);
        }
        let failures = task.failures + 1;
        if crate::mutant::planted(crate::mutant::Mutant::RetryOnceMore) {
            return task.policy.retry.next_delay(&self.error, failures.saturating_sub(1), self.random);
        }
        task.policy.retry.next_delay(&self.error, failures, self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Claim, StateKind, TaskState, Wake, claim::tests::running, rank::Ageing};

    fn fail(task: &mut Task, category: Category) -> Result<(), Rejection> {
        let TaskState::Running(lease) = task.state else { return Err(Rejection::LeaseLost(task.id)) };
        let report = Report { task: task.id, epoch: lease.epoch, nonce: lease.nonce };
        let event = Fail { report, error: TaskError::new(category, "no"), random: 0 }.decide(task, Timestamp(3_000))?;
        task.evolve(&event);
        Ok(())
    }

    fn again(task: &mut Task) {
        let ready = Wake { ageing: Ageing::default() }.decide(task, Timestamp(100_000)).unwrap();
        task.evolve(&ready);
        let claimed = Claim { nonce: 7, host: 0 }.decide(task, Timestamp(100_000)).unwrap();
        task.evolve(&claimed);
    }

    #[test]
    fn attempts_end_at_the_policy() {
        let (mut task, _) = running();
        for _ in 0..2 {
            fail(&mut task, Category::Timeout).unwrap();
            assert_eq!(task.state.kind(), StateKind::Retrying);
            again(&mut task);
        }
        fail(&mut task, Category::Timeout).unwrap();
        assert!(matches!(task.state, TaskState::Failed { dead: false, .. }));
        assert_eq!(task.failures, 3);
    }

    #[test]
    fn a_permanent_error_ends_it_at_once() {
        let (mut task, _) = running();
        fail(&mut task, Category::InvalidInput).unwrap();
        assert_eq!(task.state.kind(), StateKind::Failed);
    }

    #[test]
    fn the_third_lost_attempt_makes_it_dead_and_failures_do_not_count_towards_it() {
        let (mut task, _) = running();
        fail(&mut task, Category::Timeout).unwrap();
        again(&mut task);
        for _ in 0..2 {
            fail(&mut task, Category::LeaseLost).unwrap();
            assert_eq!(task.state.kind(), StateKind::Retrying);
            again(&mut task);
        }
        fail(&mut task, Category::LeaseLost).unwrap();
        assert!(matches!(task.state, TaskState::Failed { dead: true, .. }));
    }

    #[test]
    fn a_crash_is_bounded_by_the_policy_and_a_lost_attempt_is_not() {
        let with = |max_attempts, on: Option<Arc<[Category]>>| {
            let (mut task, _) = running();
            let mut policy = (*task.policy).clone();
            policy.retry = RetryPolicy { max_attempts, on, ..policy.retry };
            task.policy = Arc::new(policy);
            task
        };
        let nothing: Option<Arc<[Category]>> = Some(Arc::from([]));
        let others: Option<Arc<[Category]>> = Some(Arc::from([Category::Timeout]));
        for (most, on) in [(1, None), (3, nothing.clone()), (3, others)] {
            let mut task = with(most, on.clone());
            fail(&mut task, Category::Crashed).unwrap();
            assert!(matches!(task.state, TaskState::Failed { dead: false, .. }), "{most} {on:?}");
            let mut task = with(most, on);
            fail(&mut task, Category::LeaseLost).unwrap();
            assert_eq!(task.state.kind(), StateKind::Retrying);
        }
        let mut task = with(5, None);
        for _ in 0..4 {
            fail(&mut task, Category::Crashed).unwrap();
            assert_eq!((task.state.kind(), task.crashes), (StateKind::Retrying, 0));
            again(&mut task);
        }
        fail(&mut task, Category::Crashed).unwrap();
        assert_eq!((task.state.kind(), task.failures), (StateKind::Failed, 5));
    }

    #[test]
    fn no_attempt_is_planned_behind_the_deadline() {
        let (mut task, _) = running();
        let mut policy = (*task.policy).clone();
        policy.deadline = Some(Timestamp(3_000));
        task.policy = Arc::new(policy);
        fail(&mut task, Category::Timeout).unwrap();
        assert_eq!(task.state.kind(), StateKind::Failed);
    }

    #[test]
    fn a_stale_lease_cannot_fail_the_task() {
        let (task, report) = running();
        let stale =
            Fail { report: Report { nonce: 9, ..report }, error: TaskError::new(Category::Timeout, ""), random: 0 };
        assert_eq!(stale.decide(&task, Timestamp(3_000)), Err(Rejection::LeaseLost(task.id)));
    }
}
