//! Workers and those who serve them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{state::WorkerState, task::Retry};

/// What is known of a worker without running it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The name that tasks ask for.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The queue its tasks wait in unless they say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How many of its tasks run at once in one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// JSON Schema of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The labels that a host must have to be given its tasks: `gpu`, or `gpu=a100`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

/// The workers that tasks can be submitted for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerList {
    /// By name.
    pub workers: Vec<Worker>,
}

/// How a worker is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// The worker.
    pub name: String,
    /// State now.
    pub state: WorkerState,
    /// The queue its tasks wait in by default.
    pub queue: String,
    /// This process serves it.
    pub here: bool,
    /// Worker hosts that serve it and have been heard of within their lease.
    pub hosts: u32,
    /// Tasks under way.
    pub running: u64,
    /// Tasks that wait for a slot.
    pub ready: u64,
    /// Tasks that succeeded since the server was started.
    pub succeeded: u64,
    /// Tasks that failed since the server was started.
    pub failed: u64,
    /// The share of ended tasks that failed.
    pub failure_rate: f64,
    /// Mean time of a successful attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<f64>,
    /// When a task last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// When a task last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A worker host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostInfo {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How many tasks it works on at once.
    pub slots: u32,
    /// The workers it serves.
    pub workers: Vec<String>,
    /// The queues it serves; any when empty.
    pub queues: Vec<String>,
    /// What sets it apart.
    pub labels: BTreeMap<String, String>,
    /// It has been heard of within its lease.
    pub alive: bool,
    /// How long ago it was heard of.
    pub silent_ms: u64,
    /// Tasks it was given.
    pub claimed: u64,
    /// Reports of success that counted.
    pub succeeded: u64,
    /// Reports of failure that counted.
    pub failed: u64,
}

/// What is going on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkersStatus {
    /// How long the server has been up.
    pub uptime_ms: u64,
    /// Workers that somebody serves at the moment.
    pub active: u32,
    /// Each worker.
    pub workers: Vec<Health>,
    /// Each worker host.
    pub hosts: Vec<HostInfo>,
    /// Each script of the folder of workers, started or not.
    #[serde(default)]
    pub scripts: Vec<crate::script::Script>,
}

/// A worker of hosts is no longer known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forgotten {
    /// Name, as requests give it.
    pub name: String,
    /// It is no longer known.
    pub forgotten: bool,
}
