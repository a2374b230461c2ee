//! Workers and the hosts that serve them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    state::{WorkerSource, WorkerState},
    task::Retry,
};

/// The description of a worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The name that tasks ask for.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The default queue of its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Number of its tasks that run at once in one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// JSON Schema of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Sets the time limit of an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Rules for retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The labels that a host must have to receive its tasks: `gpu`, or `gpu=a100`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Limit of running tasks of one key (`key` of a task).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<PerKey>,
    /// Changes outside of Kapelle that it makes: `network`, `files`, `mail`, `process` or `tasks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// Limit of its attempts that begin within a time, here and on worker hosts together: `60/minute`, `5/s`, `100/15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

/// Limit of running tasks of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PerKey {
    /// Tasks of one key that run at once, at least 1.
    pub limit: u32,
    /// Rule for further tasks.
    #[serde(default)]
    pub when_full: WhenFull,
}

/// Rule for a task whose key has reached its limit of running tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits until one of them has ended.
    #[default]
    Queue,
    /// The oldest of them is cancelled to make room.
    CancelRunning,
    /// It is refused.
    Reject,
}

/// The workers that tasks can be submitted to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerList {
    /// By name.
    pub workers: Vec<Worker>,
}

/// The results of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// The worker.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Built in, or of a file, a script, a host or the program that embeds Kapelle.
    pub source: WorkerSource,
    /// State now.
    pub state: WorkerState,
    /// Whether it is paused: nothing new starts.
    #[serde(default)]
    pub paused: bool,
    /// The reason of the pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// The alias of its model, and why that is offline, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The default queue of its tasks.
    pub queue: String,
    /// Whether this process serves it.
    pub here: bool,
    /// Worker hosts that serve it, with a sign of life within their lease.
    pub hosts: u32,
    /// Running tasks.
    pub running: u64,
    /// Tasks that wait for a slot.
    pub ready: u64,
    /// Tasks that wait for something else: a time, a retry, money, a limit.
    #[serde(default)]
    pub waiting: u64,
    /// Tasks that succeeded since the server was started.
    pub succeeded: u64,
    /// Tasks that failed since the server was started.
    pub failed: u64,
    /// The share of ended tasks that failed.
    pub failure_rate: f64,
    /// Mean time of a successful attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<f64>,
    /// Time of the last end of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// Time of the last success.
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
    /// Its name for people.
    pub name: String,
    /// Number of tasks it works on at once.
    pub slots: u32,
    /// Workers it serves.
    pub workers: Vec<String>,
    /// The queues it serves; any when empty.
    pub queues: Vec<String>,
    /// Labels of the host.
    pub labels: BTreeMap<String, String>,
    /// Whether a sign of life came within its lease.
    pub alive: bool,
    /// Time since its last sign of life.
    pub silent_ms: u64,
    /// Tasks it was given.
    pub claimed: u64,
    /// Reports of success that counted.
    pub succeeded: u64,
    /// Reports of failure that counted.
    pub failed: u64,
}

/// The current state of the workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkersStatus {
    /// Time since the server started.
    pub uptime_ms: u64,
    /// Workers that are served at the moment.
    pub active: u32,
    /// Each worker.
    pub workers: Vec<Health>,
    /// Each worker host.
    pub hosts: Vec<HostInfo>,
    /// Each script of the folder of workers, started or not.
    #[serde(default)]
    pub scripts: Vec<crate::script::Script>,
}

/// A forgotten worker of hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forgotten {
    /// Name, as requests give it.
    pub name: String,
    /// Whether it was forgotten.
    pub forgotten: bool,
}
