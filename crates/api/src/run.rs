//! Runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    graph::StateCounts,
    state::RunState,
    task::{Task, TaskError},
};

/// A run to be started: of a workflow by its name, or of a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// The name of a workflow of the project, or of one that was run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// A stored version of it, by its number; the newest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The definition itself, in YAML or JSON, instead of a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its inputs.
    #[serde(default)]
    pub inputs: Value,
    /// `sequential`, `parallel` or `priority`, instead of the definition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// A signal to a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Its payload; null by default.
    #[serde(default)]
    pub payload: Value,
}

/// The scope of a rerun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// The step of the outermost block that runs again with all that depend on it; by default only what did not
    /// succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether steps run again with their model calls answered from the recording of the earlier run: no provider is
    /// asked, and nothing is paid. With `from`, that applies to this step and those that depend on it; else to all.
    #[serde(default)]
    pub recorded: bool,
}

/// A step that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Approval {
    /// The id of the step, to be named in the answer.
    pub id: String,
    /// Its run.
    pub run: Option<String>,
    /// Its path within the run.
    pub step: Option<String>,
    /// The question.
    pub question: Value,
    /// Names of keys, or roles, that may answer. Empty: all with the permission to approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Whether the caller may answer.
    pub may_answer: bool,
    /// Time of the question.
    pub created_at: String,
    /// Time at which it fails.
    pub until: Option<String>,
    /// A path on this server that lets anybody answer this one question, once, without a key. It ends with the wait, or
    /// a week after the question was asked.
    pub link: Option<String>,
}

/// The steps that wait for a person, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApprovalList {
    /// At most 1,000 of them.
    pub approvals: Vec<Approval>,
}

/// An answer given with a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LinkAnswer {
    /// Whether it is approved.
    pub approved: bool,
    /// The person's name: at most 100 characters. It is recorded as `claimed_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// A comment on the answer, at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The answer was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkAnswered {
    /// The answer.
    pub approved: bool,
}

/// An answer to a step that waits for a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// A comment on the answer, at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The person's name: at most 100 characters. It is recorded as `claimed_name`; `by` is the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A run was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartedRun {
    /// The id of the run, such as `run_3`.
    pub id: String,
    /// `running`.
    pub state: RunState,
}

/// A run and its state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// The id of the run, such as `run_3`.
    pub id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// State now.
    pub state: RunState,
    /// Whether it is paused: nothing further begins until it is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Time of its start.
    pub created_at: String,
    /// Time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The number of the next journal entry.
    pub seq: u64,
    /// The reason of its cancellation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The error, if it failed.
    pub error: Option<TaskError>,
    /// The values of the definition's `outputs`. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// The run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// Whether its model calls are answered from the recording of that run.
    #[serde(default)]
    pub recorded: bool,
    /// The order in which its ready steps start.
    #[serde(default)]
    pub strategy: String,
    /// The number of the version that it uses. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The file of that version. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its inputs. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// The run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunParent>,
    /// The runs that it started, at most 1,000. Left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// The key that started it; none for the owner of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Its steps that have begun, by state; items and turns are counted, too.
    #[serde(default)]
    pub steps: StateCounts,
    /// Whether it has more steps than were counted: lists count the first 1,000 of each run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steps_more: bool,
    /// Counted steps whose answer is degraded.
    #[serde(default)]
    pub degraded: u64,
    /// Calls of models that were answered from elsewhere, without cost.
    #[serde(default)]
    pub replayed: u64,
    /// The cost of its model calls, including those of the runs that it started.
    #[serde(default)]
    pub cost_nanousd: u64,
    /// Requests to model providers.
    #[serde(default)]
    pub calls: u64,
    /// Tokens sent.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens received.
    #[serde(default)]
    pub output_tokens: u64,
    /// Counts of its steps. Only with `details=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RunCounts>,
    /// The step whose failure stopped it. Only with `details=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<Box<Task>>,
}

/// Counts of the steps of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunCounts {
    /// All steps: those with a task, and those of the outermost block that have none yet.
    pub steps: u64,
    /// Steps by state; `pending` for steps without a task.
    pub states: std::collections::BTreeMap<String, u64>,
    /// Steps with a degraded answer.
    pub degraded: u64,
    /// The reason for which all of these are degraded, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded_reason: Option<String>,
}

/// The run that started another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunParent {
    /// Its id.
    pub run: String,
    /// The task of the step that waits for the end; none if it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The path of that step. Only for a single run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// A page of runs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunPage {
    /// The runs, without their outputs.
    pub runs: Vec<Run>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// The steps of a run that have begun or been skipped, in that order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepList {
    /// Each is a task.
    pub steps: Vec<Task>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// One event in the life of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JournalEntry {
    /// Its number: 0, 1, 2 and so on, without gaps.
    pub seq: u64,
    /// Time.
    pub at: String,
    /// Its kind, such as `step_started`.
    pub event: String,
    /// The path of the step, if the entry is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The fields of the kind: `task`, `scope`, `slot`, `outcome` and so on.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, Value>,
}

/// A page of the journal of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JournalPage {
    /// The entries, in order.
    pub entries: Vec<JournalEntry>,
    /// The number of the entry after these.
    pub next: u64,
}
