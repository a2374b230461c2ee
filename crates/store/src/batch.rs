//! What one turn of the engine writes.

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
    error::StoreError,
    hosted::{ArtifactRow, GivenRow, HostWorkerWrite},
    ledger::LedgerWrites,
    session::SessionRow,
};

/// Everything one turn changed, in its last state. Written whole or not at all.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Tasks that are new or changed.
    pub tasks: Vec<TaskWrite<'a>>,
    /// Attempts that did not succeed.
    pub attempts: Vec<Attempt>,
    /// Runs that are new or changed.
    pub runs: Vec<RunWrite<'a>>,
    /// Entries of the runs' journals.
    pub journal: Vec<JournalEntry>,
    /// New payloads. Never changed afterwards.
    pub payloads: Vec<(PayloadId, PayloadBody)>,
    /// Idempotency keys that were used.
    pub keys: Vec<KeyRow>,
    /// New versions of workflows. Never changed afterwards.
    pub versions: Vec<VersionRow>,
    /// Queues and workers that were paused or resumed. The last one of a name holds.
    pub gates: Vec<Gate>,
    /// Whose answers may be given again. The last one of a key holds.
    pub answers: Vec<AnswerRow>,
    /// Changes to the keys that let people and hosts in.
    pub access: Vec<AccessWrite>,
    /// Administrative acts, in their order.
    pub audit: Vec<AuditRow>,
    /// Changes to what is known of workers that hosts serve.
    pub host_workers: Vec<HostWorkerWrite>,
    /// What attempts on hosts were given again; what former attempts of their tasks were given goes. The greatest count holds.
    pub given: Vec<GivenRow>,
    /// Files that tenants gave. What is known already stays.
    pub artifacts: Vec<ArtifactRow>,
    /// What the session log is to write of this turn.
    pub session: Option<SessionRow>,
    /// Everything up to this number stands in the session log.
    pub session_written: Option<u64>,
    /// Money and model calls.
    pub ledger: LedgerWrites,
}

impl Batch<'_> {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.attempts.is_empty()
            && self.runs.is_empty()
            && self.journal.is_empty()
            && self.payloads.is_empty()
            && self.keys.is_empty()
            && self.versions.is_empty()
            && self.gates.is_empty()
            && self.answers.is_empty()
            && self.access.is_empty()
            && self.audit.is_empty()
            && self.host_workers.is_empty()
            && self.given.is_empty()
            && self.artifacts.is_empty()
            && self.session.is_none()
            && self.session_written.is_none()
            && self.ledger.is_empty()
    }

    /// Refuses what could be written and not be read back.
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
    /// Its new state.
    pub task: &'a Task,
    /// The revision the row must have; none for a new row.
    pub expected: Option<u32>,
}

/// A run to write. The row gets `run.revision`.
#[derive(Debug, Clone, Copy)]
pub struct RunWrite<'a> {
    /// Its new state.
    pub run: &'a Run,
    /// The revision the row must have; none for a new row.
    pub expected: Option<u32>,
}

/// An entry of a run's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// The run.
    pub run: RunId,
    /// Its number: 0, 1, 2, ... without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: RunEvent,
}

/// The bytes of a payload, or the file that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadBody {
    /// Kept in the row.
    Bytes(Arc<[u8]>),
    /// Kept in `blobs/<sha256>`, which was written and synced before.
    File {
        /// 64 hex digits.
        sha256: String,
        /// Its length.
        bytes: u64,
    },
}

/// An idempotency key and the reply it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Whose it is: a key never crosses tenants.
    pub tenant: TenantId,
    /// The key, as the client sent it.
    pub key: Arc<str>,
    /// SHA-256 of what was asked for: the same key with another body is refused.
    pub body: [u8; 32],
    /// The first task or run that was made for it.
    pub reply: KeyReply,
    /// When it is forgotten.
    pub until: Timestamp,
}

/// What was made for an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyReply {
    /// That many tasks with consecutive ids, from this one.
    Tasks(TaskId, u32),
    /// A run.
    Run(RunId),
}

/// One version of a workflow's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its key.
    pub id: i64,
    /// Its tenant.
    pub tenant: TenantId,
    /// The workflow.
    pub workflow: Name,
    /// 1 for its first version.
    pub number: u32,
    /// SHA-256 of the source.
    pub sha256: [u8; 32],
    /// The definition, as it was given.
    pub source: Arc<[u8]>,
    /// The name of the file it was given in.
    pub file: Arc<str>,
    /// When.
    pub created_at: Timestamp,
}

/// What can be paused by hand.
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
pub struct Gate {
    /// Whose tasks are meant.
    pub tenant: TenantId,
    /// A queue or a worker.
    pub kind: GateKind,
    /// Its name.
    pub name: Name,
    /// Whether nothing new starts.
    pub paused: bool,
    /// By whom or why.
    pub reason: Arc<str>,
    /// Since when.
    pub at: Timestamp,
}

/// The task that answers a question, so that its answer may be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerRow {
    /// Whose it is: an answer never crosses tenants.
    pub tenant: TenantId,
    /// The question.
    pub key: CacheKey,
    /// The task.
    pub task: TaskId,
    /// When the entry is forgotten.
    pub until: Timestamp,
}
