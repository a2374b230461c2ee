//! Commands that change settings: limits, pauses, keys, workers that hosts serve.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, worker::WorkerSpec};
use kapelle_store::{AccessWrite, ArtifactRow, GateKind, GivenRow, MemoWrite};
use serde::{Deserialize, Serialize};

/// Slots of a queue in this process, until it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LimitQueue {
    pub queue: Name,
    pub slots: u32,
}

/// Pause or resumption of a queue or worker, here and on worker hosts, until it is changed again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Pause {
    pub tenant: TenantId,
    pub kind: GateKind,
    pub name: Name,
    /// Whether no new task starts.
    pub paused: bool,
    pub reason: Arc<str>,
}

/// Change of API keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Access {
    pub write: AccessWrite,
}

/// Workers that a host serves. They stay known while the host is away.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Serve {
    pub tenant: TenantId,
    pub specs: Arc<[Arc<WorkerSpec>]>,
}

/// Removal of a worker that hosts served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ForgetWorker {
    pub tenant: TenantId,
    pub worker: Name,
}

/// Reuse of a recorded answer by an attempt on a worker host. Refused for any but the current attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GiveAgain {
    pub row: GivenRow,
}

/// Artifact of a tenant, whose bytes are stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Give {
    pub artifact: ArtifactRow,
}

/// Changes of memos, all or none. Answered with false when one of them has another revision than the expected.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct KeepMemos {
    pub writes: Arc<[MemoWrite]>,
}

/// Entry for the session log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    /// A JSON object.
    pub note: Arc<str>,
}

/// Number up to which the session log is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SessionWritten {
    pub seq: u64,
}

/// Passing of time: due tasks wake, lost attempts end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tick;

/// Deletion of expired rows, a limited number. Answered with whether there were any.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Expire;

/// Change of the workers of this process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct WorkersChanged;
