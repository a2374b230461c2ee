//! A checked workflow: blocks of steps, addressed by index.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value as Json;

use crate::{
    approval::ApprovalRule,
    expr::{Expression, Template},
    label::Requires,
    money::Money,
    name::Name,
    retry::RetryPolicy,
    time::DurationMs,
};

/// The place of a block in [`Definition::blocks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BlockIx(pub u32);

/// The place of a step in the steps of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StepIx(pub u32);

/// A workflow as it is written, checked.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name it is stored and started under.
    pub name: Name,
    /// One line for people.
    pub description: Option<String>,
    /// The JSON Schema that inputs must fit.
    pub inputs: Option<Arc<Json>>,
    /// Values that steps refer to as `vars.x`; they may refer to `inputs`.
    pub vars: Template,
    /// Starts a run when a run of another workflow has ended.
    pub on_completed: Option<OnCompleted>,
    /// In which order ready steps start.
    pub strategy: Strategy,
    /// How long a run may take while it is not parked, paused or waiting.
    pub timeout: Option<DurationMs>,
    /// What a run may cost; at the limit it is parked.
    pub budget: Option<Money>,
    /// What steps take over unless they say otherwise. It is already applied to the steps.
    pub defaults: Defaults,
    /// All blocks. A block stands after the block it is in.
    pub blocks: Vec<Block>,
    /// The block with the steps of the run.
    pub root: BlockIx,
    /// Runs at the end, whatever happened.
    pub finally: Option<BlockIx>,
    /// Runs when the run failed.
    pub on_error: Option<BlockIx>,
    /// Runs when the run was cancelled.
    pub on_cancel: Option<BlockIx>,
    /// What the run answers.
    pub outputs: Option<Template>,
}

impl Definition {
    /// The block at that place.
    ///
    /// # Panics
    /// When the index comes from another definition.
    #[must_use]
    pub fn block(&self, index: BlockIx) -> &Block {
        &self.blocks[index.0 as usize]
    }

    /// The step at that place of that block.
    ///
    /// # Panics
    /// When an index comes from another definition.
    #[must_use]
    pub fn step(&self, block: BlockIx, step: StepIx) -> &StepDef {
        &self.blocks[block.0 as usize].steps[step.0 as usize]
    }

    /// The number of steps at any depth.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.blocks.iter().map(|block| block.steps.len()).sum()
    }
}

/// Starts a run when a run of another workflow has ended.
#[derive(Debug, Clone)]
pub struct OnCompleted {
    /// The other workflow.
    pub workflow: Name,
    /// How its run must have ended; in any way when none is given.
    pub status: Option<crate::run::StatusKind>,
    /// When it does not hold, no run is started.
    pub condition: Option<Expression>,
    /// The inputs of the run.
    pub with: Template,
}

/// Steps that depend on each other and on nothing outside.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// The step that holds the block, and that step's block; nothing for the blocks of the run itself.
    pub parent: Option<(BlockIx, StepIx)>,
    /// The steps in the order of the file.
    pub steps: Vec<StepDef>,
    pub(super) names: HashMap<Name, StepIx>,
}

impl Block {
    /// The place of the step with that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StepIx> {
        self.names.get(name).copied()
    }

    /// The step at that place.
    ///
    /// # Panics
    /// When the index comes from another block.
    #[must_use]
    pub fn step(&self, index: StepIx) -> &StepDef {
        &self.steps[index.0 as usize]
    }

    /// All places, in the order of the file.
    pub fn indices(&self) -> impl Iterator<Item = StepIx> + use<> {
        (0..self.steps.len() as u32).map(StepIx)
    }
}

/// A step as it is written, with the defaults applied.
#[derive(Debug, Clone)]
pub struct StepDef {
    /// Its name, unique within its block.
    pub name: Name,
    /// The steps it waits for.
    pub needs: Box<[StepIx]>,
    /// The steps that wait for it.
    pub dependents: Box<[StepIx]>,
    /// When it does not hold, the step is skipped; of a branch it selects `then` or `else`.
    pub condition: Option<Expression>,
    /// Which ends of its needs let it start.
    pub run_if: RunIf,
    /// What it does.
    pub action: Action,
    /// Does it once for each item of a list.
    pub for_each: Option<ForEach>,
    /// Does it again until something holds.
    pub repeat: Option<Repeat>,
    /// -100 (last) to 100 (first).
    pub priority: i32,
    /// The queue of its tasks; none means the worker's.
    pub queue: Option<Name>,
    /// The labels that a host must have to be given its tasks, besides those that the worker requires.
    pub requires: Requires,
    /// How long one attempt may take.
    pub timeout: Option<DurationMs>,
    /// How long all attempts together may take; never stops.
    pub deadline: Option<DurationMs>,
    /// When a failed attempt is tried again; none means the worker's rules.
    pub retry: Option<RetryPolicy>,
    /// Whether an earlier answer to the same input may be taken.
    pub cache: Option<Cache>,
    /// What its failure means for the run.
    pub on_error: OnError,
    /// It runs only when another step's `on_error` names it.
    pub is_handler: bool,
    /// Its line in the file, from 1.
    pub line: u32,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Runs a worker as a task.
    Worker {
        /// The worker's name.
        worker: Name,
        /// Its input.
        with: Template,
    },
    /// Starts a run of another workflow.
    Workflow {
        /// The workflow's name.
        workflow: Name,
        /// Its inputs.
        with: Template,
        /// Whether the step ends when that run ends, or at once.
        wait: bool,
    },
    /// Waits for a person, a signal or a time.
    Wait(Wait),
    /// Runs a block of steps.
    Steps(BlockIx),
    /// Runs one of two blocks, as the step's condition says.
    Branch {
        /// The block when the condition holds.
        then: BlockIx,
        /// The block when it does not.
        otherwise: Option<BlockIx>,
    },
}

/// A step that waits.
#[derive(Debug, Clone)]
pub struct Wait {
    /// For what.
    pub target: WaitFor,
    /// How long at most.
    pub timeout: Option<DurationMs>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Who may answer, when it waits for an approval.
    pub rule: ApprovalRule,
}

/// What a step can wait for.
#[derive(Debug, Clone)]
pub enum WaitFor {
    /// A person who says yes or no to the message.
    Approval(Template),
    /// A signal of that name.
    Signal(Name),
    /// Time.
    Timer(Timer),
}

/// How long a timer waits.
#[derive(Debug, Clone)]
pub enum Timer {
    /// As long as the file says.
    Fixed(DurationMs),
    /// As long as the value says: text such as `5m`, or seconds as a number.
    Computed(Expression),
}

/// What happens when nobody answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The step fails.
    #[default]
    Fail,
    /// The step succeeds with nothing as its output.
    Continue,
}

/// One task per item of a list.
#[derive(Debug, Clone)]
pub struct ForEach {
    /// The list.
    pub list: Template,
    /// How many items are worked on at once.
    pub max_parallel: u32,
    /// What the failure of an item means.
    pub on_item_error: OnItemError,
}

/// What the failure of an item means for its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnItemError {
    /// The step fails, and no further item starts.
    #[default]
    Fail,
    /// The step goes on and hands out the failures with the results.
    Collect,
}

/// A loop.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Ends the loop when it holds after a turn.
    pub until: Option<Expression>,
    /// The most turns.
    pub max: u32,
}

/// Which ends of its needs let a step start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunIf {
    /// All succeeded or were skipped, and not all were skipped.
    #[default]
    Success,
    /// At least one failed.
    Failure,
    /// All ended, no matter how.
    Always,
    /// At least one succeeded.
    AnySuccess,
}

/// In which order ready steps start.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One after the other, in the order of the file.
    Sequential,
    /// All that are ready at once.
    #[default]
    Parallel,
    /// Higher priorities first; a failure of a step at or above `fail_fast_at` ends the run at once.
    Priority {
        /// The lowest priority whose failure ends the run at once; [`Strategy::FAIL_FAST_AT`] unless given.
        fail_fast_at: Option<i32>,
    },
    /// One that a user of the library registered under that name.
    Custom(Name),
}

impl Strategy {
    /// The lowest priority whose failure ends a run with the priority strategy at once, unless the file says otherwise.
    pub const FAIL_FAST_AT: i32 = 10;

    /// The names of those that are always there.
    pub const NAMES: [&str; 3] = ["sequential", "parallel", "priority"];
}

/// What a step's failure means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The run fails.
    #[default]
    Stop,
    /// The run goes on as if the step had been skipped.
    Continue,
    /// That step of the same block runs; when it succeeds, the run goes on.
    Run(StepIx),
}

/// Answers that may be taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// How old an answer may be; none means any age.
    pub max_age: Option<DurationMs>,
}

/// What steps take over unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Defaults {
    /// The queue of tasks.
    pub queue: Option<Name>,
    /// The priority of steps.
    pub priority: i32,
    /// How long one attempt may take.
    pub timeout: Option<DurationMs>,
    /// The retry rules.
    pub retry: Option<RetryPolicy>,
    /// How many items of a fan-out are worked on at once.
    pub max_parallel: Option<u32>,
}
