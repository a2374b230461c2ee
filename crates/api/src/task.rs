//! Tasks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{state::TaskState, waiting::Waiting};

/// A task that somebody wants done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitTask {
    /// The worker it is for.
    pub worker: String,
    /// What the worker gets.
    #[serde(default)]
    pub input: Value,
    /// The queue; that of the worker when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher first; -100 to 100.
    #[serde(default)]
    pub priority: i16,
    /// Not before that long from now.
    #[serde(default)]
    pub delay_ms: u64,
    /// When it fails whatever it is doing (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// It fails unless its first attempt has begun by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What concurrency limits group it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it is tried again; what is left out is as the worker has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The most it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_nanousd: Option<u64>,
    /// The labels that a host must have to be given it, besides those that the worker requires: `gpu`, or `gpu=a100`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Answered by an earlier task with the same input, when one is young enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// An earlier answer will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// The greatest age of the answer; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The wait before the second attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What each further wait is multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// No computed wait is longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// How waits are spread: `none`, `full` or `equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// Only these categories are tried again: none with an empty list, every retryable one when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<String>>,
}

/// Tasks that are made together, all or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitBatch {
    /// At most 10,000.
    pub tasks: Vec<SubmitTask>,
}

/// A task was recorded: it survives a crash from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Submitted {
    /// Its id.
    pub id: String,
    /// `ready`, or `scheduled` when it is not to start yet.
    pub state: TaskState,
    /// Attempts begun.
    pub attempt: u32,
}

/// Tasks were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchSubmitted {
    /// Their ids, in the order in which they were given.
    pub ids: Vec<String>,
}

/// A task and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Task {
    /// Its id.
    pub id: String,
    /// The worker it is for.
    pub worker: String,
    /// The queue it waits in.
    pub queue: String,
    /// State now.
    pub state: TaskState,
    /// Attempts begun.
    pub attempt: u32,
    /// Higher first.
    pub priority: i16,
    /// When it was submitted.
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The run it is a step of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The path of the step within the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people: what it waits for, or why it was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For programs: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The labels that a host must have to be given it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// It killed its workers too often.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dead: bool,
    /// Who answered, and for how much.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub provenance: Provenance,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// How far it is, when it runs on a worker host that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The answer. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Value"))]
    pub output: Option<Box<RawValue>>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Progress {
    /// The share done, 0 to 1.
    pub done: f64,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Who gave an answer, and whether it is poorer than was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Provenance {
    /// The provider that answered (`openai`, `offline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name of the model, or the offline method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The answer is poorer than was asked for.
    #[serde(default)]
    pub degraded: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded_reason: Option<String>,
    /// A declared substitute answered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stand_in: bool,
    /// Calls of models were answered from the record of an earlier run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// The input was cut to fit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Requests to model providers.
    #[serde(default)]
    pub calls: u64,
    /// Tokens sent.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens received.
    #[serde(default)]
    pub output_tokens: u64,
    /// What it cost.
    #[serde(default)]
    pub cost_nanousd: u64,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskError {
    /// `invalid_input`, `invalid_output`, `rate_limited`, `timeout`, `unavailable`, `model_required`, `provider`,
    /// `budget`, `cancelled`, `crashed`, `lease_lost` or `internal`.
    pub category: String,
    /// What happened, for a person.
    pub message: String,
    /// Whether trying again may help; as is usual for the category when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// How long the other side asked us to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `fresh`: the next attempt asks models anew. After `invalid_output` it always does; after any other error it is given
    /// again what was answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<AskAgain>,
}

/// Source of model answers for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AskAgain {
    /// Anew.
    Fresh,
}

/// A page of tasks, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskPage {
    /// The tasks, without their outputs.
    pub tasks: Vec<Task>,
    /// Where the next page begins, when there is one.
    pub next_cursor: Option<String>,
}

/// Why something is ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For people; who asked is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
