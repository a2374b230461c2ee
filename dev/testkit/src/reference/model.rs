//! What the tree is made of.

use kapelle_core::{
    TaskError,
    definition::{BlockIx, StepIx},
};
use serde_json::Value as Json;

/// The block of the run that a node is in the end part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outer {
    /// The steps of the run.
    Root,
    /// Its `on_error`.
    OnError,
    /// Its `on_cancel`.
    OnCancel,
    /// Its `finally`.
    Finally,
}

/// Where a node is: the outermost block, then the numbers of the slots on the way down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The outermost block.
    pub outer: Outer,
    /// The slots. A handler has the number of steps of its block plus the number of the step that failed.
    pub slots: Vec<u32>,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not begun.
    Pending,
    /// Begun and not ended.
    Open,
    /// Failed, and the step that handles that has not ended.
    Handling,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// Failed, and its block goes on.
    Tolerated,
    /// Ended by somebody.
    Cancelled,
    /// Kept from running.
    Skipped,
}

impl Phase {
    /// Nothing follows it.
    #[must_use]
    pub fn has_ended(self) -> bool {
        !matches!(self, Phase::Pending | Phase::Open | Phase::Handling)
    }
}

/// What kept a step from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its `if` is false.
    Condition,
    /// Every step it needs was skipped.
    NeedsSkipped,
    /// A step it needs failed or was cancelled.
    NeedFailed,
    /// It runs only after a failure.
    NothingFailed,
    /// It runs only after a success.
    NothingSucceeded,
    /// Another step stopped its block.
    RunStopped,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With an answer.
    Succeeded(Json),
    /// Without.
    Failed(TaskError),
    /// By somebody, for that reason.
    Cancelled(String),
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// With its outputs.
    Succeeded(Json),
    /// Why it failed.
    Failed(TaskError),
    /// By somebody.
    Cancelled,
}

/// A node as it can be looked at from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where it is.
    pub address: Address,
    /// The same for people: `classify[17].score`.
    pub path: String,
    /// How far it is.
    pub phase: Phase,
    /// The worker, when it is a task and has begun.
    pub worker: Option<String>,
    /// What the worker gets.
    pub input: Option<Json>,
    /// What it gave; null unless it succeeded.
    pub output: Json,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// Why it was skipped.
    pub reason: Option<Reason>,
    /// What it waits for when that is not a worker.
    pub waits: Option<Waits>,
    /// When time ends its waiting, in milliseconds.
    pub due: Option<i64>,
}

/// What an open node waits for when it has no worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Time.
    Timer,
    /// A signal of that name.
    Signal(String),
    /// A person.
    Approval,
    /// What is inside of it.
    Inside,
}

pub(super) type NodeAt = usize;
pub(super) type ScopeAt = usize;

/// Which layers of its step are still to come below a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// All of them: `if`, `for_each`, `repeat`, the action.
    Step,
    /// An item: `repeat`, the action.
    Item,
    /// A turn: the action.
    Turn,
}

/// A slot of a scope.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub seen: Seen,
    pub scope: ScopeAt,
    pub step: (BlockIx, StepIx),
    pub layer: Layer,
    /// The step whose failure it handles.
    pub handles: Option<NodeAt>,
    /// Its age: the less, the older.
    pub begun: Option<(u64, u64)>,
    pub inner: Option<ScopeAt>,
    /// The item it stands for.
    pub item: Option<(Json, u32)>,
    /// When the step's own time limit ends, in milliseconds.
    pub limit: Option<i64>,
}

/// A level of the tree.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub kind: Kind,
    /// The node that opened it.
    pub parent: Option<NodeAt>,
    pub outer: Outer,
    pub nodes: Vec<NodeAt>,
    pub handlers: Vec<NodeAt>,
    /// Nothing further begins but what asks for failures.
    pub stopped: bool,
    /// Nothing further begins at all.
    pub dead: bool,
    /// The oldest of the failures that make it fail.
    pub failed_by: Option<NodeAt>,
}

/// What happens in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block(BlockIx),
    Items,
    Turns { over: bool },
}
