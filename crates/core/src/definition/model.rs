//! A checked workflow: blocks of steps, addressed by index.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value as Json;

use crate::{
    approval::ApprovalRule,
    expr::{Expression, Template},
    label::Requires,
    money::Money,
    name::Name,
    retry::RetryPolicy,
    schedule,
    time::DurationMs,
};

/// Index of a block in [`Definition::blocks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct BlockIx(pub u32);

/// Index of a step in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StepIx(pub u32);

/// A checked workflow.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Name under which it is stored and started.
    pub name: Name,
    /// One line for people.
    pub description: Option<String>,
    /// JSON Schema of the inputs.
    pub inputs: Option<Arc<Json>>,
    /// Values that steps refer to as `vars.x`; they may refer to `inputs`.
    pub vars: Template,
    /// Trigger: the end of a run of another workflow.
    pub on_completed: Option<OnCompleted>,
    /// Triggers: set times.
    pub on_schedules: Vec<OnSchedule>,
    /// Order in which ready steps start.
    pub strategy: Strategy,
    /// Time limit of a run. The clock stops while the run is parked, paused or waiting.
    pub timeout: Option<DurationMs>,
    /// Cost limit of a run; at the limit it is parked.
    pub budget: Option<Money>,
    /// Signals that are lost while no step waits for them.
    pub dropped_signals: BTreeSet<Name>,
    /// Default settings of steps, already applied to the steps.
    pub defaults: Defaults,
    /// All blocks. An inner block stands after its outer block.
    pub blocks: Vec<Block>,
    /// Block with the steps of the run.
    pub root: BlockIx,
    /// Block that runs at the end of every run.
    pub finally: Option<BlockIx>,
    /// Block that runs when the run failed.
    pub on_error: Option<BlockIx>,
    /// Block that runs when the run was cancelled.
    pub on_cancel: Option<BlockIx>,
    /// Output of the run.
    pub outputs: Option<Template>,
}

impl Definition {
    /// Returns a block.
    ///
    /// # Panics
    /// When the index comes from another definition.
    #[must_use]
    pub fn block(&self, index: BlockIx) -> &Block {
        &self.blocks[index.0 as usize]
    }

    /// Returns a step of a block.
    ///
    /// # Panics
    /// When an index comes from another definition.
    #[must_use]
    pub fn step(&self, block: BlockIx, step: StepIx) -> &StepDef {
        &self.blocks[block.0 as usize].steps[step.0 as usize]
    }

    /// Returns the names of signals that are lost while no step waits for them: those that steps wait for, and none
    /// takes later.
    pub(super) fn dropped(&self) -> BTreeSet<Name> {
        let (mut dropped, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for step in self.blocks.iter().flat_map(|block| &block.steps) {
            if let Action::Wait(Wait { target: WaitFor::Signal(name), drops_early, .. }) = &step.action {
                if *drops_early {
                    dropped.insert(name.clone())
                } else {
                    kept.insert(name.clone())
                };
            }
        }
        &dropped - &kept
    }

    /// Counts the steps at any depth.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.blocks.iter().map(|block| block.steps.len()).sum()
    }
}

/// Trigger: the end of a run of another workflow.
#[derive(Debug, Clone)]
pub struct OnCompleted {
    /// Name of the other workflow.
    pub workflow: Name,
    /// Required end of its run. `None`: any end.
    pub status: Option<crate::run::StatusKind>,
    /// Condition of the start.
    pub condition: Option<Expression>,
    /// Inputs of the new run.
    pub with: Template,
}

/// Trigger: set times, checked.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct OnSchedule {
    pub name: Name,
    pub cron: Arc<str>,
    pub zone: Arc<str>,
    pub catch_up: schedule::CatchUp,
    pub overlap: schedule::Overlap,
    pub jitter: DurationMs,
    pub with: Json,
    pub place: crate::yaml::Place,
}

/// Steps that depend on each other and on no step outside.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// The step that holds the block, and that step's block. `None` for the blocks of the run itself.
    pub parent: Option<(BlockIx, StepIx)>,
    /// Steps in the order of the file.
    pub steps: Vec<StepDef>,
    pub(super) names: HashMap<Name, StepIx>,
}

impl Block {
    /// Finds the step with that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StepIx> {
        self.names.get(name).copied()
    }

    /// Returns a step.
    ///
    /// # Panics
    /// When the index comes from another block.
    #[must_use]
    pub fn step(&self, index: StepIx) -> &StepDef {
        &self.steps[index.0 as usize]
    }

    /// Returns all indices, in the order of the file.
    pub fn indices(&self) -> impl Iterator<Item = StepIx> + use<> {
        (0..self.steps.len() as u32).map(StepIx)
    }
}

/// A step with the defaults applied.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StepDef {
    /// Name, unique within its block.
    pub name: Name,
    /// Steps it waits for.
    pub needs: Box<[StepIx]>,
    /// Number of its needs after whose success it starts without waiting for the others. `None`: it waits for all.
    pub needs_first: Option<u32>,
    /// Steps that wait for it.
    pub dependents: Box<[StepIx]>,
    /// Condition: a step is skipped when it is false; a branch chooses `then` or `else` by it.
    pub condition: Option<Expression>,
    /// Ends of its needs that let it start.
    pub run_if: RunIf,
    /// Steps of its block that end its chance: it is skipped once one of them has begun.
    pub unless_begun: Box<[StepIx]>,
    /// Number of its items, or of the steps inside of it, after whose success it ends and the others are cancelled.
    pub first: Option<u32>,
    /// Whether its success ends the run, as succeeded.
    pub ends_run: bool,
    pub action: Action,
    /// Repetition for each item of a list.
    pub for_each: Option<ForEach>,
    /// Repetition until a condition holds.
    pub repeat: Option<Repeat>,
    /// From -100 (last) to 100 (first).
    pub priority: i32,
    /// Queue of its tasks. `None`: the worker's queue.
    pub queue: Option<Name>,
    /// Labels that a host needs to be assigned its tasks, besides those that the worker requires.
    pub requires: Requires,
    /// Timeout of one attempt.
    pub timeout: Option<DurationMs>,
    /// Time limit of all attempts together; its clock never stops.
    pub deadline: Option<DurationMs>,
    /// Retry rules. `None`: the worker's rules.
    pub retry: Option<RetryPolicy>,
    /// Whether an earlier answer to the same input may be reused.
    pub cache: Option<Cache>,
    /// Effect of its failure on the run.
    pub on_error: OnError,
    /// Whether it runs only when another step's `on_error` names it.
    pub is_handler: bool,
    /// Line in the file, from 1.
    pub line: u32,
}

/// Action of a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// Runs a worker as a task.
    Worker {
        /// Name of the worker.
        worker: Name,
        /// Input of the task.
        with: Template,
    },
    /// Starts a run of another workflow.
    Workflow {
        /// Name of the workflow.
        workflow: Name,
        /// Inputs of the run.
        with: Template,
        /// Whether the step ends with that run, or at once.
        wait: bool,
    },
    /// Waits for a person, a signal or a time.
    Wait(Wait),
    /// Runs a block of steps.
    Steps(BlockIx),
    /// Runs one of two blocks, by the step's condition.
    Branch {
        /// The block for a true condition.
        then: BlockIx,
        /// The block for a false condition.
        otherwise: Option<BlockIx>,
    },
}

/// A step that waits.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The event to wait for.
    pub target: WaitFor,
    /// Time limit of the wait.
    pub timeout: Option<DurationMs>,
    /// Effect of a timeout.
    pub on_timeout: OnTimeout,
    /// Whether a signal that comes before the step waits is lost.
    pub drops_early: bool,
    /// Approval rule, for a step that waits for an approval.
    pub rule: ApprovalRule,
}

/// Event that a step can wait for.
#[derive(Debug, Clone)]
pub enum WaitFor {
    /// A person who approves or rejects the message.
    Approval(Template),
    /// A signal of that name.
    Signal(Name),
    /// The end of a timer.
    Timer(Timer),
}

/// Duration of a timer.
#[derive(Debug, Clone)]
pub enum Timer {
    /// A duration written in the file.
    Fixed(DurationMs),
    /// A computed duration: text such as `5m`, or seconds as a number.
    Computed(Expression),
}

/// Effect of a wait that timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The step fails.
    #[default]
    Fail,
    /// The step succeeds without an output.
    Continue,
}

/// One task for each item of a list.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ForEach {
    pub list: Template,
    /// Limit of items in progress.
    pub max_parallel: u32,
    /// Effect of a failed item.
    pub on_item_error: OnItemError,
}

/// Effect of a failed item on its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnItemError {
    /// The step fails, and no further item starts.
    #[default]
    Fail,
    /// The step continues and returns the failures with the results.
    Collect,
}

/// A loop.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Condition that ends the loop after a turn.
    pub until: Option<Expression>,
    /// Limit of turns.
    pub max: u32,
}

/// Ends of its needs that let a step start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunIf {
    /// All succeeded or were skipped, and not all were skipped.
    #[default]
    Success,
    /// At least one failed.
    Failure,
    /// All ended, in any way.
    Always,
    /// At least one succeeded.
    AnySuccess,
}

/// Order in which ready steps start.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In the order of the file, one at a time.
    Sequential,
    /// All ready steps at once.
    #[default]
    Parallel,
    /// Higher priorities first; a failure of a step at or above `fail_fast_at` ends the run at once.
    Priority {
        /// Lowest priority whose failure ends the run at once. Default: [`Strategy::FAIL_FAST_AT`].
        fail_fast_at: Option<i32>,
    },
    /// A strategy that a user of the library registered under that name.
    Custom(Name),
}

impl Strategy {
    /// Default of the lowest priority whose failure ends a run with the priority strategy at once.
    pub const FAIL_FAST_AT: i32 = 10;

    /// Names of the built-in strategies.
    pub const NAMES: [&str; 3] = ["sequential", "parallel", "priority"];
}

/// Effect of a step's failure on the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The run fails.
    #[default]
    Stop,
    /// The run continues as if the step had been skipped.
    Continue,
    /// That step of the same block runs; when it succeeds, the run continues.
    Run(StepIx),
}

/// Reuse of earlier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// Maximum age of an answer. `None`: any age.
    pub max_age: Option<DurationMs>,
}

/// Default settings of steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Defaults {
    /// Queue of tasks.
    pub queue: Option<Name>,
    /// Priority of steps.
    pub priority: i32,
    /// Timeout of one attempt.
    pub timeout: Option<DurationMs>,
    /// Retry rules.
    pub retry: Option<RetryPolicy>,
    /// Limit of items in progress in a fan-out.
    pub max_parallel: Option<u32>,
}
