//! Reasons for the states of tasks and steps.

use serde::{Deserialize, Serialize};

use crate::waiting::Waiting;

/// The reasons for the state of a task, or for the states of the steps of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// A task or a run.
    pub id: String,
    /// One of [`crate::TaskState`] or [`crate::RunState`].
    pub state: String,
    /// One entry for a task. A run has an entry for each step with a task, and for those of its open blocks without one.
    pub steps: Vec<StepReason>,
}

/// The reason for the state of a task or step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StepReason {
    /// The path of the step within its run; for a task of its own, its id.
    pub step: String,
    /// Its task, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// State of the task; `pending` for a step without a task.
    pub state: String,
    /// Whether the state is final.
    pub ended: bool,
    /// The reason, for people.
    pub why: String,
    /// The reason, for programs: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// A command or an event that ends the wait. Left out when it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lift: Option<String>,
    /// Ready tasks of its queue and worker that come before it, at most 10,000. Only for a single task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
}
