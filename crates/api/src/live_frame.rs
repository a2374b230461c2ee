//! Messages of the socket of the console: topics to subscribe to, and what changed of them.

use serde::{Deserialize, Serialize};

use crate::{
    counts::Counts,
    live::LiveEvent,
    script::LogLine,
    state::{CallState, RunState, TaskState},
};

/// A message of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LiveRequest {
    /// Topics from now on: `runs`, `run:run_7`, `tasks`, `task:task_9`, `workers`, `queues`, `money`, `approvals`,
    /// `logs:ID`, `stats`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
    /// Topics that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsubscribe: Vec<String>,
    /// The newest `cursor` of the connection before: what was missed comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A message of the server: what changed of one topic in the last moments. Parts that did not change are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveFrame {
    /// The topic; empty for the answer to a message of the client.
    pub topic: String,
    /// The place behind this message, to continue at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Whether too much was missed: the topic must be read again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
    /// All topics that are followed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<Vec<String>>,
    /// Topics that cannot be followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTopic>,
    /// The run of `run:ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunDelta>,
    /// Runs of `runs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunDelta>,
    /// Tasks of `tasks`, `task:ID`, `approvals` and `money`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskDelta>,
    /// Steps of `run:ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<TaskDelta>,
    /// Text of models as they write, of `run:ID` and `task:ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextDelta>,
    /// Calls of `money`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallDelta>,
    /// Budgets of `money` that were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetDelta>,
    /// Pauses of `queues`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateDelta>,
    /// Events of `workers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<LiveEvent>,
    /// Lines of `logs:ID`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LogLine>,
    /// Lines that were lost because they came too fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// The numbers of `stats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<LiveStats>,
}

/// A topic that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RefusedTopic {
    pub topic: String,
    /// The reason, for people.
    pub detail: String,
}

/// The new state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct RunDelta {
    pub id: String,
    pub workflow: String,
    pub state: RunState,
    pub paused: bool,
    /// The number of the next journal entry.
    pub seq: u64,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// The new state of a task or step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TaskDelta {
    pub id: String,
    pub worker: String,
    pub queue: String,
    pub state: TaskState,
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The path of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Time of the change.
    pub at: String,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// `approval`, `signal`, `timer`, `run` or `scope`: what a waiting step waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// The category of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stand_in: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nanousd: Option<u64>,
    /// The most that the next call of a parked task may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_nanousd: Option<u64>,
}

/// A piece of what a model writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct TextDelta {
    pub task: String,
    /// The path of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    pub attempt: u32,
    /// The number of the answer within the attempt.
    pub part: u32,
    /// The bytes of the answer before `text`, in UTF-8.
    pub offset: u64,
    pub text: String,
    /// Whether the attempt is over.
    pub ended: bool,
}

/// The new state of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CallDelta {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub provider: String,
    pub model: String,
    pub state: CallState,
    pub cost_nanousd: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// A budget that was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BudgetDelta {
    pub account: String,
    pub limit_nanousd: u64,
}

/// A queue or worker that was paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GateDelta {
    /// `queue` or `worker`.
    pub kind: String,
    pub name: String,
    pub paused: bool,
}

/// Counts and rates, once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LiveStats {
    pub at: String,
    pub counts: Counts,
    /// Over the time since the last message.
    pub per_s: LiveRates,
}

/// Rates, per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LiveRates {
    /// Tasks and steps that ended.
    pub ended: f64,
    /// Those of them that failed.
    pub failed: f64,
    /// Requests to providers.
    pub calls: f64,
    pub spent_nanousd: f64,
}
