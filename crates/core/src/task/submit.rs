//! Command: submit a task.

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

/// A task before it has an id.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct NewTask {
    pub tenant: TenantId,
    /// Queue in which it waits.
    pub queue: Name,
    /// Worker that runs it.
    pub worker: Name,
    /// From -100 (last) to 100 (first).
    pub priority: i16,
    /// Key by which concurrency limits group tasks.
    pub key: Option<Name>,
    /// Input of the worker.
    pub input: Payload,
    /// Step of a run that it is, if it belongs to one.
    pub origin: Option<Origin>,
    /// Retry rules and time limits.
    pub policy: Arc<Policy>,
    /// Earliest start.
    pub not_before: Option<Timestamp>,
}

/// Makes the task.
#[derive(Debug)]
pub struct Submit {
    /// Key of the task.
    pub id: TaskId,
    /// Contents of the task.
    pub task: NewTask,
    /// Value of a point of priority.
    pub ageing: Ageing,
}

impl Submit {
    /// Returns the submitted task: Ready, or Scheduled when it has a later start.
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

    /// Makes a task that was submitted at 1,000 ms, ready unless `not_before` is set.
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
