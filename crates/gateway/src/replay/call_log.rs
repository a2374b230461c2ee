//! What the gateway asks of a log of calls, whoever keeps it.

use std::{sync::Arc, time::Duration};

use kapelle_core::{Money, TaskId, TenantId};

use super::Fingerprint;
use crate::{
    answer::Usage,
    money::{Pending, ReservationId},
};

/// The task whose answers are recorded, and its replay epoch. A retry after a bad answer (`invalid_output`, or a
/// worker's `retry: fresh`) raises the epoch and so begins an empty list; a retry after a crash keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// Whose task it is.
    pub tenant: TenantId,
    /// The task.
    pub task: TaskId,
    /// Its replay epoch.
    pub replay_epoch: u64,
}

/// A successful answer as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The call that it answers.
    pub fingerprint: Fingerprint,
    /// The content type: JSON, or an event stream from its first to its last byte.
    pub content_type: &'static str,
    /// The body.
    pub body: Arc<[u8]>,
    /// The provider that answered.
    pub provider: String,
    /// The model, as the provider calls it.
    pub model: String,
    /// What it used.
    pub usage: Usage,
    /// What it cost when it was bought; a replay costs nothing.
    pub cost: Money,
    /// Why it was not the first link that answered.
    pub degraded: Option<String>,
    /// The attempt of the task to which it was given; 0 when that is not known.
    pub attempt: u32,
    /// The reservation of the call that bought it; nothing for an answer that another call bought.
    pub call: Option<ReservationId>,
}

/// What a task of a run that repeats an earlier one is answered with, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The earlier run, for a person.
    pub run: String,
    /// The answers that the same step of it had in the same replay epoch, oldest first.
    pub answers: Vec<Recorded>,
    /// Why that step was answered offline, when it was.
    pub offline: Option<String>,
}

/// Why a log could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log of calls: {0}")]
pub struct LogError(pub String);

/// The recorded answers of tasks.
///
/// # What an implementation promises
///
/// 1. **Durable.** When `append` has returned, a crash does not lose the answer. The gateway holds the last byte of
///    the answer back until then, so that whoever has seen a whole answer finds it again.
/// 2. **Ordered.** `recorded` gives the answers of one key in the order in which their appends returned.
/// 3. **Only what was appended.** The gateway appends successes alone; a failed or cut answer is never in the log.
/// 4. **Repeatable reads.** `recorded` is asked once for each attempt, before its first call is answered, and must
///    hold every answer of earlier attempts in that epoch.
/// 5. **Dropped futures.** An `append` that is dropped may have happened or not; its answer was not delivered whole.
/// 6. **Kept as long as the task may be retried.** After that the rows may go, with the task's retention at the latest.
pub trait CallLog: Send + Sync {
    /// The answers recorded for a task, oldest first.
    fn recorded(&self, key: TaskKey) -> Pending<'_, Result<Vec<Recorded>, LogError>>;

    /// What a task of a run that repeats an earlier one is answered with. A log that knows of no runs has nothing.
    fn record(&self, _key: TaskKey) -> Pending<'_, Result<Record, LogError>> {
        Box::pin(async { Ok(Record { run: "an earlier run".to_owned(), ..Record::default() }) })
    }

    /// Adds an answer.
    fn append(&self, key: TaskKey, answer: Recorded) -> Pending<'_, Result<(), LogError>>;

    /// An answer that [`CallLog::keep`] was given for that call of the tenant, unless its time is over. A log that keeps
    /// none gives none.
    fn kept(&self, _tenant: TenantId, _fingerprint: Fingerprint) -> Option<Recorded> {
        None
    }

    /// Keeps an answer for whoever of the tenant asks the same, for that long. It need not be durable. `recorded` says
    /// that it was appended for a task before.
    fn keep(&self, _tenant: TenantId, _answer: &Recorded, _recorded: bool, _ttl: Duration) {}
}
