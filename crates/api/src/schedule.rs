//! Schedules.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{CatchUp, FireKind, FireState, Overlap};

/// A schedule to be made. It starts runs of a workflow or submits tasks to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Its name, unique within the tenant.
    pub name: String,
    /// A line of cron with five fields, or six with the seconds first; `@daily` and the like; or a span such as `15m`.
    pub cron: String,
    /// IANA name of the time zone, such as `Europe/Berlin`; UTC by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The workflow to run. Each fire takes the version that is current then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The worker to submit a task to, instead of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Inputs, with expressions over `fire.scheduled`, `fire.time`, `fire.date` and `fire.schedule`.
    #[serde(default)]
    pub with: Value,
    /// The rule for times that were missed; `skip` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// The rule for a fire while an earlier one is open; `skip` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Longest random delay of a fire, at most 3,600,000; 0 by default.
    #[serde(default)]
    pub jitter_ms: u64,
    /// Whether it may take the place of a schedule of that name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Schedule {
    pub name: String,
    /// A line of cron, or a span.
    pub cron: String,
    /// IANA name of the time zone.
    pub timezone: String,
    /// The workflow that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The worker that gets its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Inputs, with expressions over `fire`.
    #[serde(default)]
    pub with: Value,
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    pub jitter_ms: u64,
    /// Whether it is paused: nothing is fired.
    pub paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<String>,
    /// The next times, five at most, without their random delay.
    pub next: Vec<String>,
    /// The number of fires that wait for the end of an earlier one.
    pub queued: u32,
    /// The file of the workflow that it belongs to: it is changed and removed there, and only paused here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The key that made it; missing for the owner of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    pub created_at: String,
    /// The fire of its last time; missing before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Fire>,
    /// Its last fires, newest first; missing in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fires: Option<Vec<Fire>>,
}

/// Outcome of a time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Fire {
    /// The planned time; of several times the first.
    pub scheduled_at: String,
    /// The time of the decision.
    pub at: String,
    pub kind: FireKind,
    pub state: FireState,
    /// The state in words.
    pub explanation: String,
    /// The started run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The started task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// Schedules by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SchedulePage {
    pub schedules: Vec<Schedule>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// A schedule was deleted. Its runs and tasks continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ScheduleDeleted {
    pub name: String,
}

/// Times to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NextFires {
    /// The times, earliest first, without their random delay.
    pub times: Vec<String>,
}

/// Query for times to come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextQuery {
    /// Number of times, 1 to 1,000; five by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// A range of past times to fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BackfillRange {
    /// The first time, RFC 3339.
    pub from: String,
    /// The last time, included. It must have passed.
    pub to: String,
    /// Whether the times are only listed, and nothing is fired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Fires of a backfill. Times that were started before are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Backfilled {
    /// Whether nothing was fired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The planned times, earliest first.
    pub times: Vec<String>,
    /// Their fires; empty with `dry_run`.
    pub fires: Vec<Fire>,
}
