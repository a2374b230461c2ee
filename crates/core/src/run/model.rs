//! State of a run.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    order::{self, StepOrder},
    scope::{BlockScope, ItemsScope, Opening, Phase, Scope, ScopeId, ScopeKind, Slot, SlotState, TurnsScope},
    timeout_clock::Leaves,
};
use crate::{
    Name, Payload, TaskError, TenantId,
    definition::{BlockIx, Definition, StepDef, StepIx, Strategy},
    id::{RunId, TaskId},
    time::Timestamp,
};

/// One execution of a workflow.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Run {
    pub id: RunId,
    pub tenant: TenantId,
    /// Name of the workflow.
    pub workflow: Name,
    /// Stored version of the definition; a run keeps its version.
    pub version: i64,
    /// Definition of that version.
    pub definition: Arc<Definition>,
    /// Order in which its ready steps start: the definition's, unless it was started with another.
    pub strategy: Strategy,
    /// Inputs given at the start.
    pub inputs: Payload,
    /// Start time.
    pub created_at: Timestamp,
    /// Current status.
    pub status: RunStatus,
    /// Time of the pause. While it is set, no step begins.
    pub paused: Option<Timestamp>,
    /// Time since which the run only waits, so that its clock is stopped. Set only in a run with a time limit.
    pub clock_paused: Option<Timestamp>,
    /// Signals that arrived before a step waited for them, oldest first.
    pub mailbox: VecDeque<(Name, Payload)>,
    /// Run and step that started it, if a step did.
    pub parent: Option<Parent>,
    /// Key that started it, or the run that led to it. `None` means the owner of the folder.
    pub started_by: Option<Arc<str>>,
    /// Earlier run that it repeats, if any.
    pub rerun: Option<Rerun>,
    /// Time at which its time limit is reached.
    pub due_at: Option<Timestamp>,
    /// Open scopes.
    pub scopes: BTreeMap<ScopeId, Scope>,
    /// Number of step rows that have not ended.
    pub open_tasks: u32,
    /// Open tasks that are to be cancelled.
    pub to_cancel: BTreeSet<TaskId>,
    /// Steps that wait for a signal, by its name.
    pub waiting: BTreeMap<Name, BTreeSet<TaskId>>,
    /// Number of the next journal entry.
    pub seq: u64,
    /// Number that rises with every committed change.
    pub revision: u32,
    pub(super) leaves: Leaves,
    pub(super) order: Arc<dyn StepOrder>,
    /// Scopes in which steps may begin.
    pub(super) awake: BTreeSet<ScopeId>,
    /// Scopes inside of steps that are done and were not taken up yet.
    pub(super) done: BTreeSet<ScopeId>,
    /// Number of the next slot that becomes ready.
    pub(super) readied: u64,
}

/// Origin of a run that is a step of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Parent {
    pub run: RunId,
    /// The step, if it waits for the end. `None` if it does not, and for a run started by another's end.
    pub task: Option<TaskId>,
    /// Number of runs that led to it: 1 for the child of a run that was not started by a step.
    pub depth: u16,
}

/// A run that reuses results of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Rerun {
    pub of: RunId,
    /// Step of the outermost block whose results, and those of everything that waits for it, are not reused.
    pub from: Option<Name>,
    /// Whether steps run again with their model calls answered from the record of the earlier run, without calling a
    /// provider. With `from`, this applies to that step and what waits for it; otherwise to all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// Status of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum RunStatus {
    /// Steps are started and awaited.
    Running,
    /// No step starts any more; the open tasks are being ended.
    Cancelling {
        /// User or reason of the request.
        reason: Arc<str>,
        /// Whether it was requested twice: the end part is then cancelled, too.
        hard: bool,
    },
    /// The run is about to fail at once: the open tasks are being ended.
    Failing { error: Arc<TaskError> },
    /// Every step ended and no failure stopped the run.
    Succeeded {
        /// Values of the definition's `outputs`.
        outputs: Payload,
        ended_at: Timestamp,
    },
    /// A step failed the run, or its outputs could not be computed.
    Failed { error: Arc<TaskError>, ended_at: Timestamp },
    /// Cancelled by a user.
    Cancelled {
        /// User or reason of the request.
        reason: Arc<str>,
        ended_at: Timestamp,
    },
}

/// A status without its data, as stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented at RunStatus")]
#[repr(u8)]
pub enum StatusKind {
    Running = 0,
    Cancelling = 1,
    Failing = 2,
    Succeeded = 10,
    Failed = 11,
    Cancelled = 12,
}

impl StatusKind {
    /// Every kind.
    pub const ALL: [StatusKind; 6] = [
        StatusKind::Running,
        StatusKind::Cancelling,
        StatusKind::Failing,
        StatusKind::Succeeded,
        StatusKind::Failed,
        StatusKind::Cancelled,
    ];

    /// Returns the kind with that number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<StatusKind> {
        StatusKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// Returns the word shown to people and sent on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StatusKind::Running => "running",
            StatusKind::Cancelling => "cancelling",
            StatusKind::Failing => "failing",
            StatusKind::Succeeded => "succeeded",
            StatusKind::Failed => "failed",
            StatusKind::Cancelled => "cancelled",
        }
    }

    /// Tells whether the status is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self as u8 >= 10
    }
}

impl RunStatus {
    /// Returns the status without its data.
    #[must_use]
    pub fn kind(&self) -> StatusKind {
        match self {
            RunStatus::Running => StatusKind::Running,
            RunStatus::Cancelling { .. } => StatusKind::Cancelling,
            RunStatus::Failing { .. } => StatusKind::Failing,
            RunStatus::Succeeded { .. } => StatusKind::Succeeded,
            RunStatus::Failed { .. } => StatusKind::Failed,
            RunStatus::Cancelled { .. } => StatusKind::Cancelled,
        }
    }

    /// Returns the time of its end, if it has ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            RunStatus::Succeeded { ended_at, .. }
            | RunStatus::Failed { ended_at, .. }
            | RunStatus::Cancelled { ended_at, .. } => Some(*ended_at),
            RunStatus::Running | RunStatus::Cancelling { .. } | RunStatus::Failing { .. } => None,
        }
    }
}

/// Reason why a command to a run was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum RunRejection {
    /// The run has ended, or is about to.
    #[error("{run} is {}", status.as_str())]
    NotRunning { run: RunId, status: StatusKind },
    /// The step is not in a phase that allows the command.
    #[error("{run}: step {step} is {phase:?}, so it cannot be begun or ended")]
    WrongPhase {
        run: RunId,
        /// Path of the step.
        step: String,
        phase: Phase,
    },
    /// The run is already paused, or not paused.
    #[error("{run} is {}paused", if *.paused { "already " } else { "not " })]
    Paused {
        run: RunId,
        /// Whether the run is paused.
        paused: bool,
    },
    /// The run still has work to do.
    #[error("{0} has steps that have not ended")]
    Unfinished(RunId),
}

impl Run {
    /// Makes a run whose first steps are ready. The caller records [`crate::run::RunEvent::Started`].
    #[must_use]
    pub fn new(id: RunId, tenant: TenantId, version: i64, definition: Arc<Definition>, inputs: Payload) -> Run {
        let strategy = definition.strategy.clone();
        let order = order::built_in(&strategy).unwrap_or_else(|| Arc::new(order::Parallel));
        let root = definition.root;
        let mut run = Run {
            id,
            tenant,
            workflow: definition.name.clone(),
            version,
            strategy,
            inputs,
            created_at: Timestamp::default(),
            status: RunStatus::Running,
            paused: None,
            clock_paused: None,
            mailbox: VecDeque::new(),
            parent: None,
            started_by: None,
            rerun: None,
            due_at: None,
            scopes: BTreeMap::new(),
            open_tasks: 0,
            to_cancel: BTreeSet::new(),
            waiting: BTreeMap::new(),
            seq: 0,
            revision: 0,
            leaves: Leaves::default(),
            order,
            awake: BTreeSet::new(),
            done: BTreeSet::new(),
            readied: 0,
            definition,
        };
        run.open_block(ScopeId::ROOT, None, root);
        run
    }

    /// Sets another strategy in a run of which no step has begun.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy, order: Arc<dyn StepOrder>) -> Run {
        (self.strategy, self.order) = (strategy, order);
        let root = self.definition.root;
        self.open_block(ScopeId::ROOT, None, root);
        self
    }

    /// Opens a block whose steps are all pending.
    pub(super) fn open_block(&mut self, id: ScopeId, parent: Option<(ScopeId, Slot)>, block: BlockIx) {
        let definition = Arc::clone(&self.definition);
        let steps = &definition.block(block).steps;
        let state = |step: &StepDef| {
            // Handlers of failures are begun by failures alone.
            let phase = if step.is_handler { Phase::Skipped } else { Phase::Pending };
            SlotState { phase, unmet: step.needs.len() as u32, task: None }
        };
        let slots: Vec<SlotState> = steps.iter().map(state).collect();
        let unfinished = slots.iter().filter(|slot| slot.phase == Phase::Pending).count() as u32;
        let kind = BlockScope {
            block,
            slots,
            handlers: BTreeMap::new(),
            unfinished,
            succeeded: 0,
            busy: 0,
            ready: BTreeMap::new(),
        };
        self.open_scope(id, parent, ScopeKind::Block(kind));
        for (at, step) in steps.iter().enumerate() {
            if step.needs.is_empty() && !step.is_handler {
                self.push_ready(id, Slot(at as u32));
            }
        }
    }

    pub(super) fn open_scope(&mut self, id: ScopeId, parent: Option<(ScopeId, Slot)>, kind: ScopeKind) {
        let outermost = match parent {
            None => id,
            Some((outer, _)) => self.scopes.get(&outer).map_or(ScopeId::ROOT, |scope| scope.outermost),
        };
        self.scopes.insert(id, Scope::new(parent, outermost, kind));
        self.awake.insert(id);
        self.note_done(id);
    }

    /// Opens the scope of a slot.
    pub(super) fn open_inner(&mut self, scope: ScopeId, slot: Slot, opening: Opening) {
        let (id, parent) = (ScopeId::inner(scope, slot), Some((scope, slot)));
        match opening {
            Opening::Block(block) => self.open_block(id, parent, block),
            Opening::Items { total } => {
                self.open_scope(id, parent, ScopeKind::Items(ItemsScope { total, ..ItemsScope::default() }));
            }
            Opening::Turns => {
                let turns = TurnsScope { turn: 0, state: SlotState::FRESH, last: None, left_out: false, over: false };
                self.open_scope(id, parent, ScopeKind::Turns(turns));
            }
        }
    }

    /// Adds a step to those that may begin.
    pub(super) fn push_ready(&mut self, id: ScopeId, slot: Slot) {
        let number = self.readied;
        self.readied += 1;
        let order = Arc::clone(&self.order);
        let definition = Arc::clone(&self.definition);
        let Some(Scope { kind: ScopeKind::Block(block), .. }) = self.scopes.get_mut(&id) else { return };
        let steps = &definition.block(block.block).steps;
        // A handler takes the place of the failed step in the order.
        let at = block.handled(slot).unwrap_or(slot);
        let rank = steps.get(at.0 as usize).map_or(0, |step| order.rank(StepIx(at.0), step));
        block.ready.insert((rank, number), slot);
        self.awake.insert(id);
    }

    /// Records a scope inside of a step that has no work left.
    pub(super) fn note_done(&mut self, id: ScopeId) {
        if !id.is_outermost() && self.scopes.get(&id).is_some_and(Scope::is_done) {
            self.done.insert(id);
        }
    }

    /// Returns the state of a slot.
    #[must_use]
    pub fn slot(&self, scope: ScopeId, slot: Slot) -> Option<&SlotState> {
        self.scopes.get(&scope)?.slot(slot)
    }

    /// Sets the task whose failure made the run's own steps fail, before [`Run::rebuild`].
    pub fn set_failed_by(&mut self, task: Option<TaskId>) {
        if let Some(root) = self.scopes.get_mut(&ScopeId::ROOT) {
            root.failed_by = task;
        }
    }

    /// Returns the task whose failure made the run's own steps fail.
    #[must_use]
    pub fn failed_by(&self) -> Option<TaskId> {
        self.scopes.get(&ScopeId::ROOT)?.failed_by
    }
}
