//! Writes of one turn of the engine.

use std::sync::Arc;

use kapelle_core::{
    Name, PayloadId, RunId, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    run::{Run, RunEvent},
    task::{Attempt, Task},
};
use serde::{Deserialize, Serialize};

use crate::{
    access::AccessWrite,
    audit::AuditRow,
    contract::Retention,
    error::StoreError,
    hosted::{ArtifactRow, GivenRow, HostWorkerWrite},
    ledger::LedgerWrites,
    memo::MemoWrite,
    schedule::{FireRow, ScheduleWrite},
    session::SessionRow,
    subscription::{DeliveryWrite, SubscriptionWrite},
};

/// All changes of one turn, in their last state. Written whole or not at all.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// New and changed tasks.
    pub tasks: Vec<TaskWrite<'a>>,
    /// Unsuccessful attempts.
    pub attempts: Vec<Attempt>,
    /// New and changed runs.
    pub runs: Vec<RunWrite<'a>>,
    /// Entries of the runs' journals.
    pub journal: Vec<JournalEntry>,
    /// New payloads. Never changed afterwards.
    pub payloads: Vec<(PayloadId, PayloadBody)>,
    /// Used idempotency keys.
    pub keys: Vec<KeyWrite>,
    /// New versions of workflows. Never changed afterwards.
    pub versions: Vec<VersionRow>,
    /// Versions to delete, by their keys. One that a run stays on, or that is the newest, is a conflict.
    pub deleted_versions: Vec<i64>,
    /// Queues and workers that were paused or resumed. The last one of a name counts.
    pub gates: Vec<Gate>,
    /// Tasks whose answers may be reused. The last one of a key counts.
    pub answers: Vec<AnswerRow>,
    /// Changes to API keys.
    pub access: Vec<AccessWrite>,
    /// Administrative acts, in their order.
    pub audit: Vec<AuditRow>,
    /// Changes to the workers that hosts serve.
    pub host_workers: Vec<HostWorkerWrite>,
    /// Replayed answers of attempts on hosts; those of earlier attempts of the tasks are deleted. The greatest count is
    /// kept.
    pub given: Vec<GivenRow>,
    /// Files that tenants uploaded. A known file is kept unchanged.
    pub artifacts: Vec<ArtifactRow>,
    /// Changes of memos, in their order.
    pub memos: Vec<MemoWrite>,
    /// New, changed and deleted schedules.
    pub schedules: Vec<ScheduleWrite>,
    /// Outcomes of times of schedules. A time that was started before is a conflict.
    pub fires: Vec<FireRow>,
    /// New, changed and deleted subscriptions.
    pub subscriptions: Vec<SubscriptionWrite>,
    /// New and changed deliveries of events, after the subscriptions.
    pub deliveries: Vec<DeliveryWrite>,
    /// Entry of this turn for the session log.
    pub session: Option<SessionRow>,
    /// Number up to which the session log has been written.
    pub session_written: Option<u64>,
    /// Ledger: money and model calls.
    pub ledger: LedgerWrites,
    /// Bounds of expired rows, of which a limited number is deleted, the oldest first, after all other writes.
    pub expired: Option<Retention>,
}

impl Batch<'_> {
    /// Tells whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.attempts.is_empty()
            && self.runs.is_empty()
            && self.journal.is_empty()
            && self.payloads.is_empty()
            && self.keys.is_empty()
            && self.versions.is_empty()
            && self.deleted_versions.is_empty()
            && self.gates.is_empty()
            && self.answers.is_empty()
            && self.access.is_empty()
            && self.audit.is_empty()
            && self.host_workers.is_empty()
            && self.given.is_empty()
            && self.artifacts.is_empty()
            && self.memos.is_empty()
            && self.schedules.is_empty()
            && self.fires.is_empty()
            && self.subscriptions.is_empty()
            && self.deliveries.is_empty()
            && self.session.is_none()
            && self.session_written.is_none()
            && self.ledger.is_empty()
            && self.expired.is_none()
    }

    /// Refuses values that could be written but not read.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refuse = |what: String| Err(StoreError::Database(what));
        for write in &self.tasks {
            if write.expected.is_none() && !write.task.policy.retry.multiplier.is_finite() {
                return refuse(format!("{}: the multiplier of its retry policy is not a number", write.task.id));
            }
        }
        for (id, body) in &self.payloads {
            if let PayloadBody::File { sha256, .. } = body
                && !crate::blobs::is_hash(sha256)
            {
                return refuse(format!("payload {} names a file by something that is not a SHA-256", id.0));
            }
        }
        Ok(())
    }
}

/// A task to write. The row gets `task.revision`.
#[derive(Debug, Clone, Copy)]
pub struct TaskWrite<'a> {
    /// New state.
    pub task: &'a Task,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// A run to write. The row gets `run.revision`.
#[derive(Debug, Clone, Copy)]
pub struct RunWrite<'a> {
    /// New state.
    pub run: &'a Run,
    /// Revision that the row must have. `None` for a new row.
    pub expected: Option<u32>,
}

/// An entry of a run's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct JournalEntry {
    /// Id of the run.
    pub run: RunId,
    /// Number: 0, 1, 2, ... without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub event: RunEvent,
}

/// Bytes of a payload, or the file that holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadBody {
    /// Kept in the row.
    Bytes(#[serde(with = "kapelle_core::payload::text")] Arc<[u8]>),
    /// Kept in `blobs/<sha256>`, which was written and synced before.
    File {
        /// 64 hex digits.
        sha256: String,
        /// Length in bytes.
        bytes: u64,
    },
}

/// An idempotency key and its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Tenant of the key; a key never crosses tenants.
    pub tenant: TenantId,
    /// Key as the client sent it.
    pub key: Arc<str>,
    /// SHA-256 of the request body: a reused key with another body is refused.
    pub body: [u8; 32],
    /// First task, run or fire that was made for it.
    pub reply: KeyReply,
    /// Expiry.
    pub until: Timestamp,
}

/// An idempotency key that is used. One that was used before conflicts, unless its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWrite {
    /// Row of the key.
    pub row: KeyRow,
    /// Time of use: a row that expired before is replaced.
    pub at: Timestamp,
}

/// Tasks, run or fire made for an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyReply {
    /// Tasks with consecutive ids: the first id and the number.
    Tasks(TaskId, u32),
    /// A run.
    Run(RunId),
    /// A fire by hand of the schedule that the request names: its planned time.
    Fire(Timestamp),
}

/// One version of a workflow's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct VersionRow {
    pub id: i64,
    pub tenant: TenantId,
    pub workflow: Name,
    /// Number of the version, from 1.
    pub number: u32,
    /// SHA-256 of the source.
    pub sha256: [u8; 32],
    /// Definition as it was given.
    #[serde(with = "kapelle_core::payload::text")]
    pub source: Arc<[u8]>,
    /// Name of the file it was given in.
    pub file: Arc<str>,
    pub created_at: Timestamp,
}

/// Kind of object that can be paused by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GateKind {
    /// A queue.
    Queue = 0,
    /// A worker.
    Worker = 1,
}

impl GateKind {
    /// Every kind.
    pub const ALL: [GateKind; 2] = [GateKind::Queue, GateKind::Worker];

    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GateKind::Queue => "queue",
            GateKind::Worker => "worker",
        }
    }
}

/// A queue or worker that was paused or resumed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Gate {
    /// Tenant whose tasks are affected.
    pub tenant: TenantId,
    /// A queue or a worker.
    pub kind: GateKind,
    pub name: Name,
    /// Whether no new task starts.
    pub paused: bool,
    /// User or reason of the change.
    pub reason: Arc<str>,
    /// Time of the change.
    pub at: Timestamp,
}

/// A task whose answer may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct AnswerRow {
    /// Tenant; an answer never crosses tenants.
    pub tenant: TenantId,
    /// Key of the cache.
    pub key: CacheKey,
    pub task: TaskId,
    /// Expiry of the entry.
    pub until: Timestamp,
}
