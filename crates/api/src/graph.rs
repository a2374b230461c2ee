//! The graph of a workflow, and of a run with what became of its steps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    state::{RunState, TaskState},
    task::Task,
};

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident = $state:ident,)*) => {
        /// Numbers of tasks by state. States without tasks are left out.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(default)]
        #[allow(missing_docs, reason = "the fields are named for the states")]
        pub struct StateCounts {
            $(#[serde(skip_serializing_if = "is_zero")] pub $field: u64,)*
        }

        impl StateCounts {
            /// Returns the number of a state.
            pub fn of(&mut self, state: TaskState) -> &mut u64 {
                match state {
                    $(TaskState::$state => &mut self.$field,)*
                }
            }

            /// Returns the number of all states.
            #[must_use]
            pub fn total(&self) -> u64 {
                [$(self.$field,)*].into_iter().sum()
            }
        }
    };
}

counts! {
    scheduled = Scheduled,
    ready = Ready,
    running = Running,
    retrying = Retrying,
    held = Held,
    parked = Parked,
    waiting = Waiting,
    succeeded = Succeeded,
    failed = Failed,
    cancelled = Cancelled,
    discarded = Discarded,
    skipped = Skipped,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The graph of a version of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Graph {
    /// Name of the workflow.
    pub workflow: String,
    /// The number of the stored version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `sequential`, `parallel`, `priority`, or the name of one that a program registered.
    pub strategy: String,
    /// JSON Schema of the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// Every block, an inner one after its outer one.
    pub blocks: Vec<GraphBlock>,
    /// The run, for the graph of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<GraphRun>,
}

/// The state of a run beside its graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GraphRun {
    /// Id of the task.
    pub id: String,
    /// State now.
    pub state: RunState,
    /// Whether it is paused.
    pub paused: bool,
    /// The number of the next journal entry, as of which the counts are at least.
    pub seq: u64,
    /// The runs that it started, by id; at most 1,000. The graph of each is asked by its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<GraphChild>,
}

/// A run that a run started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GraphChild {
    /// Its id.
    pub run: String,
    /// Its workflow.
    pub workflow: String,
    /// State now.
    pub state: RunState,
    /// The task of the step that waits for its end; missing when no step waits, as for the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The path of that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The place of that step in the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<StepPlace>,
}

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// The steps of the run, or those inside of a step.
    Steps,
    /// The steps of a branch whose condition is true.
    Then,
    /// The steps of a branch whose condition is false.
    Else,
    /// The steps that run when the run failed.
    OnError,
    /// The steps that run when the run was cancelled.
    OnCancel,
    /// The steps that run at the end of every run.
    Finally,
}

/// A step, by its block and its index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StepPlace {
    pub block: u32,
    pub step: u32,
}

/// Steps that depend on each other and on no step outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GraphBlock {
    /// Its index in `blocks`.
    pub index: u32,
    /// Kind, as the workflow says it.
    pub kind: BlockKind,
    /// The step that holds it; none for a block of the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StepPlace>,
    /// Indexes of its steps by level: each needs at least one of the level before.
    pub levels: Vec<Vec<u32>>,
    /// Its steps in the order of the file.
    pub steps: Vec<GraphStep>,
}

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Runs a worker.
    Worker,
    /// Starts a run of another workflow.
    Workflow,
    /// Waits for a person.
    Approval,
    /// Waits for a signal.
    Signal,
    /// Waits for a time.
    Timer,
    /// Runs the steps inside of it.
    Steps,
    /// Runs one of two blocks.
    Branch,
}

/// The condition on the ends of the steps that a step needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepRunIf {
    /// All succeeded or were skipped, and not all were skipped.
    Success,
    /// At least one failed.
    Failure,
    /// All ended, in any way.
    Always,
    /// At least one succeeded.
    AnySuccess,
}

/// The effect of a step's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StepOnError {
    /// The run fails.
    Fail,
    /// The run continues as if the step had been skipped.
    Continue,
    /// Another step runs.
    Run,
}

/// A step of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GraphStep {
    /// Its index in its block.
    pub index: u32,
    pub name: String,
    pub kind: StepKind,
    /// Purpose in a few words for people.
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Indexes of the steps of its block that it waits for.
    pub needs: Vec<u32>,
    /// Its level in `levels`.
    pub level: u32,
    /// Its condition, as an expression.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    pub run_if: StepRunIf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<GraphForEach>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<GraphRepeat>,
    pub on_error: StepOnError,
    /// The index of the step that runs when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<u32>,
    /// Whether it runs only when another step's `on_error` names it.
    pub is_handler: bool,
    /// Indexes of the blocks inside of it.
    pub blocks: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Labels that a host needs.
    pub requires: Vec<String>,
    /// Its line in the file, from 1.
    pub line: u32,
    /// Rows of the step in the run, of all places where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<StateCounts>,
    /// Rows of its items or turns in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<StateCounts>,
    /// Ways that a branch has taken in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<BranchTaken>,
}

/// One task for each item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GraphForEach {
    pub max_parallel: u32,
    /// Whether it goes on after a failed item, and returns the failures with the results.
    pub collect: bool,
}

/// A loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct GraphRepeat {
    pub max: u32,
    /// The condition that ends it, as an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The number of times that each way of a branch was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BranchTaken {
    pub then: u64,
    #[serde(rename = "else")]
    pub otherwise: u64,
}

/// Items of a fan-out, or turns of a loop, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemPage {
    /// The path of the step that they belong to.
    pub step: String,
    /// The number of items; of turns, those that have begun.
    pub total: u32,
    /// Those that have begun, by state.
    pub counts: StateCounts,
    /// The items, without their outputs.
    pub items: Vec<Task>,
    /// Cursor of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
