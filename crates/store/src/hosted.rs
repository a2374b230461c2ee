//! What worker hosts said of their workers, what their attempts were given again, and files that tenants gave.

use std::sync::Arc;

use kapelle_core::{Name, TaskId, TenantId, Timestamp, worker::WorkerSpec};
use serde::{Deserialize, Serialize};

/// What a worker host said of a worker. It holds when the host is away, and after a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWorkerRow {
    /// Whose host it was.
    pub tenant: TenantId,
    /// What it said; the name is in it.
    pub spec: Arc<WorkerSpec>,
    /// When.
    pub at: Timestamp,
}

/// A change to what is known of workers that hosts serve.
#[derive(Debug, Clone, PartialEq)]
pub enum HostWorkerWrite {
    /// In place of what was known of that name.
    Put(HostWorkerRow),
    /// That name is not known any more.
    Forget(TenantId, Name),
}

/// How many of the recorded answers to a request an attempt on a worker host was given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenRow {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// What was asked.
    pub fingerprint: [u8; 32],
    /// How many. It never falls.
    pub count: u32,
}

/// A file that a tenant gave. Its bytes are in `blobs/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// 64 hex digits.
    pub sha256: Arc<str>,
    /// What the giver called it.
    pub name: Arc<str>,
    /// Of which kind it is.
    pub media_type: Arc<str>,
    /// Its length.
    pub bytes: u64,
    /// When it was first given.
    pub at: Timestamp,
}
