//! The interface of a log of calls.

use std::{sync::Arc, time::Duration};

use kapelle_core::{Money, TaskId, TenantId};

use super::Fingerprint;
use crate::{
    answer::Usage,
    money::{Pending, ReservationId},
};

/// A task and its replay epoch, under which answers are recorded. A retry after a bad answer (`invalid_output`, or a
/// worker's `retry: fresh`) raises the epoch and so begins an empty list; a retry after a crash keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// Tenant of the task.
    pub tenant: TenantId,
    /// Id of the task.
    pub task: TaskId,
    /// Number that rises with each retry after a bad answer.
    pub replay_epoch: u64,
}

/// A successful answer as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Recorded {
    /// Identity of the call that it answers.
    pub fingerprint: Fingerprint,
    /// JSON, or an event stream from its first to its last byte.
    pub content_type: &'static str,
    pub body: Arc<[u8]>,
    /// The provider that answered.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// Tokens that the call used.
    pub usage: Usage,
    /// Cost when it was bought; a replay costs nothing.
    pub cost: Money,
    /// Reason why the first link did not answer.
    pub degraded: Option<String>,
    /// Attempt of the task that received it; 0 when not known.
    pub attempt: u32,
    /// Reservation of the call that bought it. `None` for an answer that another call bought.
    pub call: Option<ReservationId>,
}

/// Recorded answers for the tasks of a rerun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Id of the earlier run, for people.
    pub run: String,
    /// Answers of the same step and replay epoch in the earlier run, oldest first.
    pub answers: Vec<Recorded>,
    /// Reason why that step was answered offline, if it was.
    pub offline: Option<String>,
}

/// Reason why a log could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log of calls: {0}")]
pub struct LogError(pub String);

/// Recorded answers of tasks.
///
/// # Promises of an implementation
///
/// 1. **Durable.** When `append` has returned, a crash does not lose the answer. The gateway withholds the last byte of
///    the answer until then, so that a caller that has seen a whole answer finds it again.
/// 2. **Ordered.** `recorded` returns the answers of one key in the order in which their appends returned.
/// 3. **Only what was appended.** The gateway appends successes alone; a failed or cut answer is never in the log.
/// 4. **Repeatable reads.** `recorded` is called once for each attempt, before its first call is answered, and must
///    hold every answer of earlier attempts in that epoch.
/// 5. **Dropped futures.** An `append` that is dropped may have happened or not; its answer was not delivered whole.
/// 6. **Kept as long as the task may be retried.** After that the rows may be deleted, with the task's retention at the
///    latest.
pub trait CallLog: Send + Sync {
    /// Returns the answers recorded for a task, oldest first.
    fn recorded(&self, key: TaskKey) -> Pending<'_, Result<Vec<Recorded>, LogError>>;

    /// Returns the recorded answers for a task of a rerun. Empty in a log that does not know runs.
    fn record(&self, _key: TaskKey) -> Pending<'_, Result<Record, LogError>> {
        Box::pin(async { Ok(Record { run: "an earlier run".to_owned(), ..Record::default() }) })
    }

    /// Appends an answer.
    fn append(&self, key: TaskKey, answer: Recorded) -> Pending<'_, Result<(), LogError>>;

    /// Returns the answer that [`CallLog::keep`] stored for that call of the tenant, unless it has expired. Returns
    /// `None` in a log without a cache.
    fn kept(&self, _tenant: TenantId, _fingerprint: Fingerprint) -> Option<Recorded> {
        None
    }

    /// Caches an answer for equal calls of the tenant, for the given time. It need not be durable. `recorded`: it was
    /// already appended for a task.
    fn keep(&self, _tenant: TenantId, _answer: &Recorded, _recorded: bool, _ttl: Duration) {}
}
