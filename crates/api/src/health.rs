//! The health of a server.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{HealthStatus, TaskState};

/// The health of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerHealth {
    /// Status of the whole.
    pub status: HealthStatus,
    /// The version of the server.
    pub version: String,
    /// Milliseconds since the start of the server.
    pub uptime_ms: u64,
    /// The workers of the server's own process.
    pub workers: WorkerCounts,
    /// Counts of worker hosts.
    pub hosts: HostCounts,
    /// The checks that the configuration names.
    pub checks: Vec<CheckResult>,
}

/// Workers of the server's own process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerCounts {
    /// Workers that it serves.
    pub here: usize,
    /// Scripts by state, where scripts are supervised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Value>,
}

/// Worker hosts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostCounts {
    /// Hosts with a sign of life within their lease.
    pub alive: u64,
}

/// The last result of a health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckResult {
    /// The name of the check.
    pub name: String,
    /// `ok`, `warning` or `critical`.
    pub status: HealthStatus,
    /// Value that was measured.
    pub value: f64,
    /// The value in words, with the bound when it fails.
    pub reason: String,
}

/// The process is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alive {
    /// `ok`.
    pub status: HealthStatus,
}

/// Tasks that have not ended, of one lane in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenTasks {
    /// Number of the tenant.
    pub tenant: u32,
    /// Name of the queue.
    pub queue: String,
    /// Name of the worker.
    pub worker: String,
    /// State of the tasks.
    pub state: TaskState,
    /// The number of tasks.
    pub tasks: u64,
}
