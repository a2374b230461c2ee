//! The tree.

use kapelle_core::{
    TaskError,
    definition::{BlockIx, StepIx},
};
use serde_json::Value as Json;

/// The block of the run that contains a node.
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

/// Address of a node: the outermost block, then the numbers of the slots on the way down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Address {
    pub outer: Outer,
    /// Slots. A handler has the number of steps of its block plus the number of the step that failed.
    pub slots: Vec<u32>,
}

/// Phase of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has not begun.
    Pending,
    /// It has begun and not ended.
    Open,
    /// It failed, and the step that handles the failure has not ended.
    Handling,
    /// Ended well.
    Succeeded,
    /// Failed.
    Failed,
    /// It failed, and its block continues.
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

/// Reason why a step was skipped.
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
    /// Fewer of its needs succeeded than it asks for.
    TooFew,
    /// A step of its `unless_begun` has begun.
    TooLate,
}

/// End of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// An answer.
    Succeeded(Json),
    /// An error.
    Failed(TaskError),
    /// A cancel, with its reason.
    Cancelled(String),
}

/// End of the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Success, with its outputs.
    Succeeded(Json),
    /// Failure.
    Failed(TaskError),
    /// Cancel.
    Cancelled,
}

/// A node as seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Address.
    pub address: Address,
    /// Path for people: `classify[17].score`.
    pub path: String,
    /// Current phase.
    pub phase: Phase,
    /// Worker, if it is a task and has begun.
    pub worker: Option<String>,
    /// Input of the worker.
    pub input: Option<Json>,
    /// Output; null unless it succeeded.
    pub output: Json,
    /// Error, if it failed.
    pub error: Option<TaskError>,
    /// Reason, if it was skipped.
    pub reason: Option<Reason>,
    /// Event that it waits for, other than a worker.
    pub waits: Option<Waits>,
    /// Time at which its wait ends, in milliseconds.
    pub due: Option<i64>,
}

/// Event that an open node without a worker waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Time.
    Timer,
    /// A signal of that name.
    Signal(String),
    /// A person.
    Approval,
    /// Its inner nodes.
    Inside,
}

pub(super) type NodeAt = usize;
pub(super) type ScopeAt = usize;

/// Layers of its step that are still to come below a node.
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
    /// Step whose failure it handles.
    pub handles: Option<NodeAt>,
    /// Age: a smaller value is older.
    pub begun: Option<(u64, u64)>,
    pub inner: Option<ScopeAt>,
    /// Item of the list.
    pub item: Option<(Json, u32)>,
    /// End of the step's own time limit, in milliseconds.
    pub limit: Option<i64>,
}

/// A level of the tree.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub kind: Kind,
    /// Node that opened it.
    pub parent: Option<NodeAt>,
    pub outer: Outer,
    pub nodes: Vec<NodeAt>,
    pub handlers: Vec<NodeAt>,
    /// Nothing further begins but what asks for failures.
    pub stopped: bool,
    /// Whether no step may begin.
    pub dead: bool,
    /// Whether enough in it has succeeded.
    pub satisfied: bool,
    /// Oldest of the failures that make it fail.
    pub failed_by: Option<NodeAt>,
}

/// Contents of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block(BlockIx),
    Items,
    Turns { over: bool },
}
