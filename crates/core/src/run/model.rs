//! What a run is made of.

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
pub struct Run {
    /// Its key.
    pub id: RunId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The name of the workflow.
    pub workflow: Name,
    /// The stored version of the definition that it stays on.
    pub version: i64,
    /// That definition.
    pub definition: Arc<Definition>,
    /// In which order its ready steps start: that of the definition, unless it was started with another.
    pub strategy: Strategy,
    /// What it was started with.
    pub inputs: Payload,
    /// When it was started.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: RunStatus,
    /// Since then nothing begins, until it is resumed.
    pub paused: Option<Timestamp>,
    /// Since then it has done nothing but wait, and its time stands still. Of a run with a time limit only.
    pub clock_paused: Option<Timestamp>,
    /// Signals that came before a step waited for them, oldest first.
    pub mailbox: VecDeque<(Name, Payload)>,
    /// The run and the step that started it, when a step did.
    pub parent: Option<Parent>,
    /// The key that started it, or the run that led to it. `None` means the owner of the folder.
    pub started_by: Option<Arc<str>>,
    /// How it came to be, when not by somebody's wish alone.
    pub rerun: Option<Rerun>,
    /// When it is out of time.
    pub due_at: Option<Timestamp>,
    /// The scopes under way.
    pub scopes: BTreeMap<ScopeId, Scope>,
    /// Rows of steps that have not ended.
    pub open_tasks: u32,
    /// Open tasks that are to be cancelled.
    pub to_cancel: BTreeSet<TaskId>,
    /// Steps that wait for a signal, by its name.
    pub waiting: BTreeMap<Name, BTreeSet<TaskId>>,
    /// The number of the next journal entry.
    pub seq: u64,
    /// Raised by every committed change.
    pub revision: u32,
    pub(super) leaves: Leaves,
    pub(super) order: Arc<dyn StepOrder>,
    /// Scopes in which something may begin.
    pub(super) awake: BTreeSet<ScopeId>,
    /// Scopes inside of steps that are done and were not taken up yet.
    pub(super) done: BTreeSet<ScopeId>,
    /// The number of the next slot that becomes ready.
    pub(super) readied: u64,
}

/// What started a run that is a step of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// The step, when it waits for the end; none when it does not, and for a run started by another's end.
    pub task: Option<TaskId>,
    /// How many runs led to it: 1 for the child of a run that nobody's step started.
    pub depth: u16,
}

/// A run that takes over results of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The earlier run.
    pub of: RunId,
    /// The step of the outermost block whose results, and those of everything that waits for it, are not taken over.
    pub from: Option<Name>,
    /// Steps are done again, and their calls of models answered from what was recorded of the earlier run: nobody is
    /// asked. With `from`, that holds for this step and what waits for it; else for all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    /// Steps are being started and waited for.
    Running,
    /// No step starts any more; the open tasks are being ended.
    Cancelling {
        /// By whom or why.
        reason: Arc<str>,
        /// Asked for twice: also the steps that run at the end are ended.
        hard: bool,
    },
    /// It is about to fail at once: the open tasks are being ended.
    Failing {
        /// Why.
        error: Arc<TaskError>,
    },
    /// Every step ended and none stopped it.
    Succeeded {
        /// What the definition's `outputs` gave.
        outputs: Payload,
        /// When.
        ended_at: Timestamp,
    },
    /// A step stopped it, or its outputs could not be computed.
    Failed {
        /// Why.
        error: Arc<TaskError>,
        /// When.
        ended_at: Timestamp,
    },
    /// Ended by somebody.
    Cancelled {
        /// By whom or why.
        reason: Arc<str>,
        /// When.
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

    /// The kind with that number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<StatusKind> {
        StatusKind::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The word shown to people and sent on the wire.
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

    /// Nothing follows it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self as u8 >= 10
    }
}

impl RunStatus {
    /// The status without its data.
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

    /// When it ended, when it has.
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

/// Why a command to a run was refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunRejection {
    /// It has ended, or is about to.
    #[error("{run} is {}", status.as_str())]
    NotRunning {
        /// The run.
        run: RunId,
        /// Where it stands.
        status: StatusKind,
    },
    /// The step is not in a state in which this can be done.
    #[error("{run}: step {step} is {phase:?}, so it cannot be begun or ended")]
    WrongPhase {
        /// The run.
        run: RunId,
        /// The path of the step.
        step: String,
        /// How far it is.
        phase: Phase,
    },
    /// It is paused already, or not at all.
    #[error("{run} is {}paused", if *.paused { "already " } else { "not " })]
    Paused {
        /// The run.
        run: RunId,
        /// Whether it is.
        paused: bool,
    },
    /// The run still has work to do.
    #[error("{0} has steps that have not ended")]
    Unfinished(RunId),
}

impl Run {
    /// A run whose first steps are ready. The caller records [`crate::run::RunEvent::Started`].
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

    /// The same run, none of whose steps has begun, with another strategy.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy, order: Arc<dyn StepOrder>) -> Run {
        (self.strategy, self.order) = (strategy, order);
        let root = self.definition.root;
        self.open_block(ScopeId::ROOT, None, root);
        self
    }

    /// Opens a block none of whose steps has begun.
    pub(super) fn open_block(&mut self, id: ScopeId, parent: Option<(ScopeId, Slot)>, block: BlockIx) {
        let definition = Arc::clone(&self.definition);
        let steps = &definition.block(block).steps;
        let state = |step: &StepDef| {
            // What handles failures is begun by them alone.
            let phase = if step.is_handler { Phase::Skipped } else { Phase::Pending };
            SlotState { phase, unmet: step.needs.len() as u32, task: None }
        };
        let slots: Vec<SlotState> = steps.iter().map(state).collect();
        let unfinished = slots.iter().filter(|slot| slot.phase == Phase::Pending).count() as u32;
        let kind = BlockScope { block, slots, handlers: BTreeMap::new(), unfinished, busy: 0, ready: BTreeMap::new() };
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

    /// Opens what a slot holds.
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

    /// Puts a step on the list of those that may begin.
    pub(super) fn push_ready(&mut self, id: ScopeId, slot: Slot) {
        let number = self.readied;
        self.readied += 1;
        let order = Arc::clone(&self.order);
        let definition = Arc::clone(&self.definition);
        let Some(Scope { kind: ScopeKind::Block(block), .. }) = self.scopes.get_mut(&id) else { return };
        let steps = &definition.block(block.block).steps;
        // A handler takes the turn of the step that failed.
        let at = block.handled(slot).unwrap_or(slot);
        let rank = steps.get(at.0 as usize).map_or(0, |step| order.rank(StepIx(at.0), step));
        block.ready.insert((rank, number), slot);
        self.awake.insert(id);
    }

    /// Notes a scope inside of a step that has nothing left to do.
    pub(super) fn note_done(&mut self, id: ScopeId) {
        if !id.is_outermost() && self.scopes.get(&id).is_some_and(Scope::is_done) {
            self.done.insert(id);
        }
    }

    /// The state of a slot.
    #[must_use]
    pub fn slot(&self, scope: ScopeId, slot: Slot) -> Option<&SlotState> {
        self.scopes.get(&scope)?.slot(slot)
    }

    /// The task whose failure made the run's own steps fail.
    #[must_use]
    pub fn failed_by(&self) -> Option<TaskId> {
        self.scopes.get(&ScopeId::ROOT)?.failed_by
    }
}
