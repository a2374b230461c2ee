//! Tasks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{state::TaskState, waiting::Waiting};

/// A task to submit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitTask {
    /// The worker of the task.
    pub worker: String,
    /// Input of the worker.
    #[serde(default)]
    pub input: Value,
    /// Queue. `None`: the worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// From -100 (last) to 100 (first).
    #[serde(default)]
    pub priority: i16,
    /// Delays the task.
    #[serde(default)]
    pub delay_ms: u64,
    /// Time at which it fails, whatever its state (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Time within which its first attempt must begin, or it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Sets the time limit of an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Key by which concurrency limits group tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Rules for retries; missing ones come from the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Cost limit of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_nanousd: Option<u64>,
    /// The labels that a host must have, besides those that the worker requires: `gpu`, or `gpu=a100`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Allows the answer of an earlier task with an equal input, up to an age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// Permission to reuse an earlier answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// The greatest age of the answer; unlimited by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
}

/// Sets the retry rules.
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
    /// Factor between one wait and the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// The longest computed wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// Randomness of waits: `none`, `full` or `equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// Only these categories are retried: none with an empty list, every retryable one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<String>>,
}

/// Tasks that are submitted together, all or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitBatch {
    /// At most 10,000 tasks.
    pub tasks: Vec<SubmitTask>,
}

/// A submitted task: it survives a crash from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Submitted {
    /// The id of the task, such as `task_12`.
    pub id: String,
    /// `ready`, or `scheduled` when it starts later.
    pub state: TaskState,
    /// Attempts begun.
    pub attempt: u32,
}

/// Submitted tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchSubmitted {
    /// Their ids, in the order of the request.
    pub ids: Vec<String>,
}

/// A task and its state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Task {
    /// The id of the task, such as `task_12`.
    pub id: String,
    /// The worker of the task.
    pub worker: String,
    /// The queue that it waits in.
    pub queue: String,
    /// State now.
    pub state: TaskState,
    /// Attempts begun.
    pub attempt: u32,
    /// Higher first.
    pub priority: i16,
    /// Time of its submission.
    pub created_at: String,
    /// Time since which it needed only a slot, as far as it is known: of a task that is ready, or that had one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
    /// Start of the attempt that runs or succeeded; of a failed task, in answers about it alone, of its last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Key by which concurrency limits group tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Time at which it fails, whatever its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The time limit of an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Attempts in all, the first included.
    #[serde(default)]
    pub max_attempts: u32,
    /// The worker host that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The run it is a step of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The path of the step within the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people: what it waits for, or why it was cancelled or skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For programs: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The labels that a host must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Whether it crashed its workers too often.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dead: bool,
    /// The origin and cost of its answer.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub provenance: Provenance,
    /// The error, if it failed.
    pub error: Option<TaskError>,
    /// Its progress, when it runs on a worker host that reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Calls of models that an earlier attempt or another task had paid for, at least. Only for a single task.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replayed: u64,
    /// The answer. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Value"))]
    pub output: Option<Box<RawValue>>,
    /// The input. Left out of lists and of answers that waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Value"))]
    pub input: Option<Box<RawValue>>,
    /// The attempts that did not succeed, first to last. Left out as the input is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// Time of its start.
    pub started_at: String,
    /// Time of its end.
    pub ended_at: String,
    /// The cost of its model calls.
    #[serde(default)]
    pub cost_nanousd: u64,
    /// Category and message.
    pub error: TaskError,
}

/// The progress of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Progress {
    /// The share done, 0 to 1.
    pub done: f64,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The origin of an answer, and whether it is degraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Provenance {
    /// The provider that answered (`openai`, `offline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name of the model, or the offline method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the answer is of lower quality than requested.
    #[serde(default)]
    pub degraded: bool,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded_reason: Option<String>,
    /// Whether a declared fallback worker answered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stand_in: bool,
    /// Whether it is the answer of an earlier task with an equal input.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cached: bool,
    /// Whether model calls were answered from the recording of an earlier run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recorded: bool,
    /// The step of an earlier run whose answer was reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<String>,
    /// Whether the input was cut to fit.
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
    /// Its cost.
    #[serde(default)]
    pub cost_nanousd: u64,
}

/// The reason why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskError {
    /// `invalid_input`, `invalid_output`, `rate_limited`, `timeout`, `unavailable`, `model_required`, `provider`,
    /// `budget`, `cancelled`, `crashed`, `lease_lost` or `internal`.
    pub category: String,
    /// The failure, for a person.
    pub message: String,
    /// Whether a retry may help; by default as usual for the category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Wait that the other side requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `fresh`: the next attempt asks models again. After `invalid_output` it always does; after any other error it
    /// reuses the earlier answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<AskAgain>,
}

/// Source of model answers for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AskAgain {
    /// Ask models again.
    Fresh,
}

/// A page of tasks, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskPage {
    /// The tasks, without their outputs.
    pub tasks: Vec<Task>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
}

/// The reason of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For people; the name of the requester is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
