//! What a run is made of.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    Name, Payload, TaskError, TenantId,
    definition::{BlockIx, Definition, StepDef, StepIx, Strategy},
    id::{RunId, TaskId},
    time::Timestamp,
};

/// The number of a scope within its run; 0 is the outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeId(pub u32);

impl ScopeId {
    /// The outermost scope.
    pub const ROOT: ScopeId = ScopeId(0);
}

/// A place within a scope: the number of a step of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// One execution of a workflow.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its key.
    pub id: RunId,
    /// Whose it is.
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
    /// The step whose failure stopped it, once there is one.
    pub stopped_by: Option<TaskId>,
    /// The scopes that are not done.
    pub scopes: BTreeMap<ScopeId, Scope>,
    /// Tasks that have not ended.
    pub open_tasks: u32,
    /// The number of the next journal entry.
    pub seq: u64,
    /// Raised by every committed change.
    pub revision: u32,
    /// Slots whose needs have all ended, in the order in which that happened.
    pub(super) ready: VecDeque<(ScopeId, Slot)>,
    /// Slots taken from `ready` and not begun yet.
    pub(super) queued: u32,
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
    Succeeded = 10,
    Failed = 11,
    Cancelled = 12,
}

impl StatusKind {
    /// Every kind.
    pub const ALL: [StatusKind; 5] =
        [StatusKind::Running, StatusKind::Cancelling, StatusKind::Succeeded, StatusKind::Failed, StatusKind::Cancelled];

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
            RunStatus::Running | RunStatus::Cancelling { .. } => None,
        }
    }
}

/// One level of a run: the steps of one block, under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The slot of the enclosing scope that this one belongs to.
    pub parent: Option<(ScopeId, Slot)>,
    /// The block of the definition.
    pub block: BlockIx,
    /// The steps, by their number.
    pub slots: Vec<SlotState>,
    /// Slots that have not ended.
    pub unfinished: u32,
}

/// One step, as its scope sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// How far it is.
    pub phase: Phase,
    /// Needed steps that have not ended.
    pub unmet: u32,
    /// Its task, once there is one.
    pub task: Option<TaskId>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Needs have not ended.
    Pending,
    /// Needs have ended; its condition and input are being evaluated.
    Queued,
    /// It has a task.
    Open,
    /// Ended well.
    Succeeded,
    /// Failed, and stopped the run.
    Failed,
    /// Failed, and `on_error: continue` lets the run go on.
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
        !matches!(self, Phase::Pending | Phase::Queued | Phase::Open)
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
    /// The run still has work to do.
    #[error("{0} has steps that have not ended")]
    Unfinished(RunId),
}

impl Run {
    /// A run whose first steps are ready. The caller records [`crate::run::RunEvent::Started`].
    #[must_use]
    pub fn new(id: RunId, tenant: TenantId, version: i64, definition: Arc<Definition>, inputs: Payload) -> Run {
        let mut run = Run {
            id,
            tenant,
            workflow: definition.name.clone(),
            version,
            strategy: definition.strategy.clone(),
            inputs,
            created_at: Timestamp::default(),
            status: RunStatus::Running,
            stopped_by: None,
            scopes: BTreeMap::new(),
            open_tasks: 0,
            seq: 0,
            revision: 0,
            ready: VecDeque::new(),
            queued: 0,
            definition,
        };
        let root = run.fresh_scope(None, run.definition.root);
        run.scopes.insert(ScopeId::ROOT, root);
        run.queue_roots(ScopeId::ROOT);
        run
    }

    /// A scope none of whose steps has begun.
    pub(super) fn fresh_scope(&self, parent: Option<(ScopeId, Slot)>, block: BlockIx) -> Scope {
        let steps = &self.definition.block(block).steps;
        let slots: Vec<SlotState> = steps
            .iter()
            .map(|step| SlotState { phase: Phase::Pending, unmet: step.needs.len() as u32, task: None })
            .collect();
        let unfinished = slots.len() as u32;
        Scope { parent, block, slots, unfinished }
    }

    /// Puts the steps that need nothing on the ready list.
    pub(super) fn queue_roots(&mut self, id: ScopeId) {
        let Some(scope) = self.scopes.get(&id) else { return };
        for (number, slot) in scope.slots.iter().enumerate() {
            if slot.phase == Phase::Pending && slot.unmet == 0 {
                self.ready.push_back((id, Slot(number as u32)));
            }
        }
    }

    /// The state of a step.
    #[must_use]
    pub fn slot(&self, scope: ScopeId, slot: Slot) -> Option<&SlotState> {
        self.scopes.get(&scope)?.slots.get(slot.0 as usize)
    }

    /// The definition of a step.
    #[must_use]
    pub fn step(&self, scope: ScopeId, slot: Slot) -> Option<&StepDef> {
        let scope = self.scopes.get(&scope)?;
        self.definition.block(scope.block).steps.get(StepIx(slot.0).0 as usize)
    }

    /// The path of a step as people write it: `route.summarize`.
    #[must_use]
    pub fn path(&self, scope: ScopeId, slot: Slot) -> String {
        let mut names = Vec::new();
        let mut at = Some((scope, slot));
        while let Some((scope, slot)) = at {
            names.push(self.step(scope, slot).map_or("?", |step| step.name.as_str()));
            at = self.scopes.get(&scope).and_then(|scope| scope.parent);
        }
        let mut path = String::new();
        for name in names.iter().rev() {
            let _ = write!(path, "{}{name}", if path.is_empty() { "" } else { "." });
        }
        path
    }

    /// The tasks that have not ended, at most `most` of them.
    #[must_use]
    pub fn open(&self, most: usize) -> Vec<TaskId> {
        let slots = self.scopes.values().flat_map(|scope| &scope.slots);
        slots.filter(|slot| slot.phase == Phase::Open).filter_map(|slot| slot.task).take(most).collect()
    }
}
