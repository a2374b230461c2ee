//! The stream of a worker host: tasks come down on one answer, a line of JSON each time. Everything else goes up in
//! frames.

use serde::{Deserialize, Serialize};

use crate::{
    host::{BeatTask, ClaimedTask, Report, ReportResult},
    problem::Problem,
};

/// A worker host wants its tasks on a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenHostStream {
    /// Number of free slots: the tasks that it may be given before its credit rises.
    #[serde(default)]
    pub credit: u64,
}

/// A line of a host's stream: an object with the fields of one kind. One without fields is a sign of life.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostLine {
    /// First line: the id of the stream, for the credit in frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// First line: time that a lease lasts without a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ttl_ms: Option<u64>,
    /// First line: interval of signs of life, also without tasks. The stream ends without one for a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// First line: time within which each task is acknowledged, renewed or reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_ms: Option<u64>,
    /// Tasks for the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<ClaimedTask>,
    /// Lease tokens of attempts that must stop now: cancelled, or past their time. They are not reported any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancel: Vec<String>,
    /// The number of the frame that this line answers; 0 for one whose number could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The answer to that frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Box<FrameAnswer>>,
    /// The refusal of that frame as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<Problem>>,
    /// Last line: why the stream ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<StreamEnd>,
}

/// The reason why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// The server is stopping.
    Stopping,
    /// The key was revoked or has expired.
    Revoked,
    /// The host opened another stream.
    Replaced,
    /// A task was not acknowledged in time; it goes to another host.
    Unacknowledged,
    /// The host gave no sign of life for a lease.
    Silent,
    /// The host was removed.
    Left,
}

/// Messages of a worker host in one request, which may be repeated.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The stream that the credit is for. The credit of an earlier stream is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Number of tasks that may have been given on the stream since it was opened. It only rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<u64>,
    /// Lease tokens of tasks that arrived; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<String>,
    /// Ends of attempts; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Attempts whose leases are renewed, with their progress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<BeatTask>,
}

/// A frame in the body of a stream's own request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FrameLine {
    /// The number by which the frame is answered.
    pub n: u64,
    /// Number of tasks that may have been given on the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<u64>,
    /// Lease tokens of tasks that arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<String>,
    /// Ends of attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Attempts whose leases are renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<BeatTask>,
}

/// The answer to a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FrameAnswer {
    /// One result for each report.
    pub results: Vec<ReportResult>,
    /// Attempts among the renewed ones that must stop: cancelled, or given to another host.
    pub cancel: Vec<String>,
    /// Time that the leases last from now on.
    pub lease_ttl_ms: u64,
    /// `false`: the server does not know the host, as after its restart. Only the reports were taken.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub known: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_true(value: &bool) -> bool {
    *value
}
