//! Estimates of runs.

use serde::{Deserialize, Serialize};

/// A low, a likely and a high value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Range {
    pub low: u64,
    pub likely: u64,
    pub high: u64,
}

/// Origin of the numbers of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EstimateSource {
    /// Earlier runs of the same step.
    Runs,
    /// Tasks of its worker elsewhere, or runs of the workflow that it starts.
    Worker,
    /// A time written in the workflow.
    Written,
    /// The length of its input and the prices of its model; the length of the answer is a guess.
    Model,
    /// Nothing: a guess.
    Guess,
}

/// Time and spending that are expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ExpectedUse {
    pub duration_ms: Range,
    pub cost_nanousd: Range,
    /// Calls of models.
    pub calls: Range,
    pub input_tokens: Range,
    pub output_tokens: Range,
}

/// A step of an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EstimatedStep {
    /// Its path, with `[]` for the number of an item or a turn.
    pub path: String,
    /// The worker of its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Origin of its numbers.
    pub source: EstimateSource,
    /// Tasks or runs that the numbers come from.
    pub samples: u64,
    /// Number of times that it runs.
    pub times: Range,
    /// Whether that number follows from the inputs and the file alone.
    pub times_known: bool,
    /// Likely time from the start of the run to its first start.
    pub start_ms: u64,
    /// One time.
    pub one: ExpectedUse,
    /// All times together.
    pub total: ExpectedUse,
}

/// The estimate in which a budget is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EstimateCase {
    /// The likely one.
    Likely,
    /// Only the high one.
    High,
}

/// A budget at which the run would wait for money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EstimatedStop {
    /// The account, such as `day` or `worker:classifier`; `run` is the budget in the file.
    pub account: String,
    /// The first step that it does not pay for.
    pub step: String,
    /// The estimate in which it is too small.
    pub case: EstimateCase,
    /// Remaining amount.
    pub left_nanousd: u64,
    /// Amount that the run would spend from it in that estimate.
    pub needed_nanousd: u64,
}

/// Time and spending of a run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ActualUse {
    pub duration_ms: u64,
    pub cost_nanousd: u64,
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// An estimate of a run, from what was known before it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The name of the workflow.
    pub workflow: String,
    /// Earlier runs of it that were read.
    pub runs: u64,
    /// The whole run: the duration is that of its critical path.
    pub total: ExpectedUse,
    /// The sum of the durations of all steps.
    pub work_ms: Range,
    /// Steps whose numbers are a guess, wholly or in part.
    pub guessed: u64,
    /// Budgets that are too small, the smallest first. Empty for a run that has started.
    pub stops: Vec<EstimatedStop>,
    /// Its steps, in the order of the file, at most 1,000.
    pub steps: Vec<EstimatedStep>,
    /// Whether there are more steps.
    pub steps_more: bool,
    /// Time and spending of the run, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<ActualUse>,
}
