//! A task comes into being.

use std::sync::Arc;

use crate::{
    Name, Payload, TenantId,
    id::TaskId,
    task::{
        model::{Origin, Policy, Task, TaskState},
        rank::Ageing,
    },
    time::Timestamp,
};

/// What is known of a task before it has an id.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Its tenant.
    pub tenant: TenantId,
    /// The queue it waits in.
    pub queue: Name,
    /// The worker it is for.
    pub worker: Name,
    /// Higher first; -100 to 100.
    pub priority: i16,
    /// What concurrency limits group it by.
    pub key: Option<Name>,
    /// What the worker gets.
    pub input: Payload,
    /// The step it is, when it belongs to a run.
    pub origin: Option<Origin>,
    /// Retry rules and time limits.
    pub policy: Arc<Policy>,
    /// Not before then.
    pub not_before: Option<Timestamp>,
}

/// Makes the task.
#[derive(Debug)]
pub struct Submit {
    /// The key it gets.
    pub id: TaskId,
    /// What it is.
    pub task: NewTask,
    /// What a point of priority is worth.
    pub ageing: Ageing,
}

impl Submit {
    /// The task as it is after submission: Ready, or Scheduled when it is not to start yet.
    #[must_use]
    pub fn decide(self, now: Timestamp) -> Task {
        let NewTask { tenant, queue, worker, priority, key, input, origin, policy, not_before } = self.task;
        let state = match not_before {
            Some(at) if at > now => TaskState::Scheduled { at },
            _ => TaskState::Ready { rank: self.ageing.rank(priority, now) },
        };
        Task {
            id: self.id,
            tenant,
            queue,
            worker,
            priority,
            key,
            input,
            origin,
            policy,
            created_at: now,
            state,
            epoch: 0,
            failures: 0,
            crashes: 0,
            revision: 0,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::task::StateKind;

    /// A task that was submitted at 1,000 ms, ready unless `not_before` says otherwise.
    pub(crate) fn submitted(not_before: Option<i64>) -> Task {
        let task = NewTask {
            tenant: TenantId::DEFAULT,
            queue: Name::new("default"),
            worker: Name::new("noop"),
            priority: 0,
            key: None,
            input: Payload::None,
            origin: None,
            policy: Arc::default(),
            not_before: not_before.map(Timestamp),
        };
        Submit { id: TaskId(1), task, ageing: Ageing::default() }.decide(Timestamp(1_000))
    }

    #[test]
    fn a_task_is_ready_at_once_or_scheduled() {
        assert_eq!(submitted(None).state, TaskState::Ready { rank: 1_000 });
        assert_eq!(submitted(Some(900)).state.kind(), StateKind::Ready);
        assert_eq!(submitted(Some(1_001)).state, TaskState::Scheduled { at: Timestamp(1_001) });
    }
}
