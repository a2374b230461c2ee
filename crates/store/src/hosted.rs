//! Workers that hosts serve, replayed answers of their attempts, and files that tenants uploaded.

use std::sync::Arc;

use kapelle_core::{Name, TaskId, TenantId, Timestamp, worker::WorkerSpec};
use serde::{Deserialize, Serialize};

/// A worker's specification as a worker host registered it. It stays known while the host is away, and after a restart.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct HostWorkerRow {
    /// Tenant of the host.
    pub tenant: TenantId,
    /// The specification, with the name.
    pub spec: Arc<WorkerSpec>,
    pub at: Timestamp,
}

/// A change to the workers that hosts serve.
#[derive(Debug, Clone, PartialEq)]
pub enum HostWorkerWrite {
    /// Replaces the specification of that name.
    Put(HostWorkerRow),
    /// Removes that name.
    Forget(TenantId, Name),
}

/// Number of the recorded answers to a request that were replayed to an attempt on a worker host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GivenRow {
    pub task: TaskId,
    pub attempt: u32,
    /// Identity of the request.
    pub fingerprint: [u8; 32],
    /// Count; it never falls.
    pub count: u32,
}

/// A file that a tenant uploaded. Its bytes are in `blobs/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ArtifactRow {
    pub tenant: TenantId,
    /// 64 hex digits.
    pub sha256: Arc<str>,
    /// Name that the uploader gave it.
    pub name: Arc<str>,
    /// Media type.
    pub media_type: Arc<str>,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the first upload.
    pub at: Timestamp,
}
