//! The protocol of worker hosts: register, claim, heartbeat, report.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, value::RawValue};

use crate::{
    task::{Provenance, TaskError},
    worker::Worker,
};

/// A process that wants to work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// Number of tasks it works on at once.
    #[serde(default = "one")]
    pub slots: u32,
    /// The workers it serves: names, or names with descriptions.
    pub workers: Vec<Served>,
    /// Only tasks of these queues; of any by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// Labels of the host, such as `gpu: a100`: tasks that require labels go only to hosts that have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether it acknowledges claimed tasks; a task that is not acknowledged within two seconds goes to another host.
    #[serde(default)]
    pub ack: bool,
    /// Whether to register with the workers that the key may serve, and report the others. Without it one worker that
    /// the key may not serve refuses the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

fn one() -> u32 {
    1
}

/// A worker that a host serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Served {
    /// Its name alone.
    Name(String),
    /// Its name and description.
    Worker(Box<Worker>),
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Served, D::Error> {
        // Parsed in two steps: numbers keep their digits, so an untagged value cannot be read directly from text.
        match Value::deserialize(from)? {
            Value::String(name) => Ok(Served::Name(name)),
            known @ Value::Object(_) => serde_json::from_value(known).map(Served::Worker).map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected the name of a worker, or an object that describes one")),
        }
    }
}

impl Served {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Served::Name(name) => name,
            Served::Worker(worker) => &worker.name,
        }
    }
}

/// A registered host. It stays known until it is silent for ten minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Registered {
    /// The id of the host, for its further requests.
    pub id: String,
    /// Workers that were left out, because the key may not serve them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Time that a claimed task stays its own without a heartbeat.
    pub lease_ttl_ms: u64,
    /// Interval at which it should send heartbeats while it works.
    pub heartbeat_ms: u64,
}

/// A host has free slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The most tasks (1 to 1,000).
    #[serde(default = "one")]
    pub max_tasks: u32,
    /// Time to wait for the first (at most 60,000).
    #[serde(default)]
    pub wait_ms: u64,
}

/// Tasks for a host; the list may be empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Claimed {
    /// The tasks.
    pub tasks: Vec<ClaimedTask>,
}

/// An attempt that belongs to the host as long as its lease lasts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClaimedTask {
    /// The task.
    pub id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The lease token for every report.
    pub lease_token: String,
    /// Time that the lease lasts without a heartbeat.
    pub lease_ttl_ms: u64,
    /// Time limit of the attempt: the host ends it then and reports `timeout`.
    pub timeout_ms: u64,
    /// Whether no further attempt follows a failure.
    pub last_attempt: bool,
    /// The worker.
    pub worker: String,
    /// The run, when the task is a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Path of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Base address of an OpenAI-compatible service for the attempt's model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_url: Option<String>,
    /// The attempt's own key there. It ends with the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_token: Option<String>,
    /// Input of the worker.
    #[cfg_attr(feature = "schema", schemars(with = "Value"))]
    pub input: Box<RawValue>,
}

/// An acknowledgement of claimed tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Their lease tokens.
    pub lease_tokens: Vec<String>,
}

/// A heartbeat of a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The tasks it works on; may be empty.
    #[serde(default)]
    pub tasks: Vec<BeatTask>,
}

/// A task that a host works on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BeatTask {
    /// Its lease token.
    pub lease_token: String,
    /// The share done, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Renewed leases, and attempts that are not the host's any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BeatAnswer {
    /// Attempts that must stop: cancelled, or given to another host. Their reports would be refused.
    pub cancel: Vec<String>,
    /// Time that the leases last from now on.
    pub lease_ttl_ms: u64,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Succeed,
    /// With an error.
    Fail,
    /// Released: another attempt follows at once, and nothing is counted against the task.
    Release,
}

/// The end of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The lease token of the attempt.
    pub lease_token: String,
    /// Its result.
    pub outcome: Outcome,
    /// The answer, when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Value>"))]
    pub output: Option<Box<RawValue>>,
    /// The origin and cost of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The error, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// The ends of attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reports {
    /// At most 1,000 reports.
    pub reports: Vec<Report>,
}

/// The result of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportResult {
    /// Its lease token.
    pub lease_token: String,
    /// Whether it counts. Repeating the report of a success is accepted again.
    pub accepted: bool,
    /// The code of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason of the refusal, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The results of reports, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportAnswer {
    /// One for each report.
    pub results: Vec<ReportResult>,
}

/// The end of one attempt, under a path that names the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SingleReport {
    /// The lease token of the attempt.
    pub lease_token: String,
    /// The answer, when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Value>"))]
    pub output: Option<Box<RawValue>>,
    /// The origin and cost of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The error, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// A worker host has gone away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostLeft {
    /// Id of the host.
    pub id: String,
}

/// Claimed tasks were acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledged {}
