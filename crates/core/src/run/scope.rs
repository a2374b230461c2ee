//! Scopes: the containers of steps, items and turns.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    definition::{BlockIx, StepDef},
    id::TaskId,
};

/// Id of a scope within its run. It follows from the position of the scope, so that two servers, a recovery and a rerun
/// give one scope the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeId(pub i64);

impl ScopeId {
    /// The steps of the run.
    pub const ROOT: ScopeId = ScopeId(0);
    /// The steps of the run's `on_error`.
    pub const ON_ERROR: ScopeId = ScopeId(1);
    /// The steps of the run's `on_cancel`.
    pub const ON_CANCEL: ScopeId = ScopeId(2);
    /// The steps of the run's `finally`.
    pub const FINALLY: ScopeId = ScopeId(3);

    /// Computes the scope that a slot opens. It is 63 bits of a well-mixed hash: among a million scopes of a run two
    /// are equal with a probability of about 5e-8, and then the store refuses the second step instead of mixing them
    /// up.
    #[must_use]
    pub fn inner(parent: ScopeId, slot: Slot) -> ScopeId {
        // The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
        let mix = |mut z: u64| {
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let seed = mix(parent.0.cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = mix(seed ^ mix(u64::from(slot.0).wrapping_add(0x632b_e59b_d9b4_e019)));
        let id = (mixed >> 1).cast_signed();
        ScopeId(if id < 4 { id + 4 } else { id })
    }

    /// Tells whether it is a block of the run itself, outside of any step.
    #[must_use]
    pub fn is_outermost(self) -> bool {
        (0..4).contains(&self.0)
    }
}

/// Position within a scope: the number of a step of its block, of an item or of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// Kind of the scope that a slot opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The items of a list.
    Items {
        /// Number of items.
        total: u32,
    },
    /// The turns of a loop.
    Turns,
    /// The steps of a block, or of the chosen branch.
    Block(BlockIx),
}

/// One level of a run in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The slot that opened it. `None` for the blocks of the run itself.
    pub parent: Option<(ScopeId, Slot)>,
    /// The block of the run that contains it.
    pub outermost: ScopeId,
    /// Contents by kind.
    pub kind: ScopeKind,
    /// Failure that makes it fail: of several the one whose task is the oldest.
    pub failed_by: Option<TaskId>,
    /// Whether only steps that run after failures may still begin.
    pub stopped: bool,
    /// Whether no step may begin: its open tasks are being cancelled.
    pub dead: bool,
    /// Whether enough in it has succeeded: nothing more begins, and its open tasks are being cancelled.
    pub satisfied: bool,
    /// Slots of a satisfied scope whose tasks have not ended yet.
    pub leaving: u32,
    /// Whether it is done and kept only so that the next turn of its loop can read its steps.
    pub closed: bool,
}

/// Contents of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeKind {
    /// The steps of a block.
    Block(BlockScope),
    /// The items of a list.
    Items(ItemsScope),
    /// The turns of a loop, one at a time.
    Turns(TurnsScope),
}

/// Steps of a block in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockScope {
    /// Block of the definition.
    pub block: BlockIx,
    /// Steps by number.
    pub slots: Vec<SlotState>,
    /// Steps that handle a failure, by the number of the step that failed.
    pub handlers: BTreeMap<u32, SlotState>,
    /// Steps that have not ended.
    pub unfinished: u32,
    /// Steps that succeeded.
    pub succeeded: u32,
    /// Steps that were taken up and have not ended.
    pub(super) busy: u32,
    /// Slots that may begin: by rank, then by the order in which they became ready.
    pub(super) ready: BTreeMap<(i64, u64), Slot>,
}

/// Items of a list in progress. Only open ones are in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemsScope {
    /// Total number of items.
    pub total: u32,
    /// First item that was never taken up.
    pub next: u32,
    /// Items taken up before a crash, and lost with it.
    pub gaps: VecDeque<u32>,
    /// Items taken up and not ended.
    pub open: BTreeMap<u32, SlotState>,
    /// Number of ended items.
    pub ended: u32,
    /// Number of items that succeeded.
    pub succeeded: u32,
}

/// Turns of a loop in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnsScope {
    /// Number of the turn.
    pub turn: u32,
    /// State of the turn.
    pub state: SlotState,
    /// Task of the turn before it.
    pub last: Option<TaskId>,
    /// Whether the turn before it was skipped.
    pub left_out: bool,
    /// Whether no turn follows.
    pub over: bool,
}

/// One step, item or turn, as its scope sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// Phase of the step.
    pub phase: Phase,
    /// Needed steps that have not ended.
    pub unmet: u32,
    /// Task, once there is one.
    pub task: Option<TaskId>,
}

impl SlotState {
    pub(super) const FRESH: SlotState = SlotState { phase: Phase::Pending, unmet: 0, task: None };
    pub(super) const QUEUED: SlotState = SlotState { phase: Phase::Queued, unmet: 0, task: None };
}

/// Phase of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Needs have not ended.
    Pending,
    /// Needs have ended; its condition and input are being evaluated.
    Queued,
    /// It has a task.
    Open,
    /// It failed, and the step that handles the failure has not ended.
    Handling,
    /// It succeeded.
    Succeeded,
    /// It failed, and made its scope fail.
    Failed,
    /// It failed, and the run continues: `on_error: continue`, or the failure was handled.
    Tolerated,
    /// It was cancelled.
    Cancelled,
    /// It was skipped.
    Skipped,
}

impl Phase {
    /// Tells whether the phase is final.
    #[must_use]
    pub fn has_ended(self) -> bool {
        !matches!(self, Phase::Pending | Phase::Queued | Phase::Open | Phase::Handling)
    }
}

impl Scope {
    pub(super) fn new(parent: Option<(ScopeId, Slot)>, outermost: ScopeId, kind: ScopeKind) -> Scope {
        Scope {
            parent,
            outermost,
            kind,
            failed_by: None,
            stopped: false,
            dead: false,
            satisfied: false,
            leaving: 0,
            closed: false,
        }
    }

    /// Returns the state of a slot that has one.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> Option<&SlotState> {
        match &self.kind {
            ScopeKind::Block(block) => match slot.0.checked_sub(block.slots.len() as u32) {
                None => block.slots.get(slot.0 as usize),
                Some(failed) => block.handlers.get(&failed),
            },
            ScopeKind::Items(items) => items.open.get(&slot.0),
            ScopeKind::Turns(turns) => (turns.turn == slot.0).then_some(&turns.state),
        }
    }

    pub(super) fn slot_mut(&mut self, slot: Slot) -> Option<&mut SlotState> {
        match &mut self.kind {
            ScopeKind::Block(block) => match slot.0.checked_sub(block.slots.len() as u32) {
                None => block.slots.get_mut(slot.0 as usize),
                Some(failed) => block.handlers.get_mut(&failed),
            },
            ScopeKind::Items(items) => items.open.get_mut(&slot.0),
            ScopeKind::Turns(turns) => (turns.turn == slot.0).then_some(&mut turns.state),
        }
    }

    /// Returns the slots with open tasks.
    pub(super) fn open(&self) -> Vec<(Slot, TaskId)> {
        let open = |(slot, state): (u32, &SlotState)| match state.phase {
            Phase::Open => Some((Slot(slot), state.task?)),
            _ => None,
        };
        match &self.kind {
            ScopeKind::Block(block) => {
                let steps = block.slots.len() as u32;
                let handlers = block.handlers.iter().map(|(failed, state)| (failed + steps, state));
                block
                    .slots
                    .iter()
                    .enumerate()
                    .map(|(at, state)| (at as u32, state))
                    .chain(handlers)
                    .filter_map(open)
                    .collect()
            }
            ScopeKind::Items(items) => items.open.iter().map(|(at, state)| (*at, state)).filter_map(open).collect(),
            ScopeKind::Turns(turns) => open((turns.turn, &turns.state)).into_iter().collect(),
        }
    }

    /// Tells whether it has no work left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        if self.dead || self.closed {
            return false;
        }
        if self.satisfied {
            return self.leaving == 0;
        }
        match &self.kind {
            ScopeKind::Block(block) => block.unfinished == 0,
            ScopeKind::Items(items) => {
                let more = items.next < items.total || !items.gaps.is_empty();
                items.open.is_empty() && (self.stopped || !more)
            }
            ScopeKind::Turns(turns) => turns.over,
        }
    }

    /// Makes it fail; of several failures the one of the oldest task counts, in whatever order they arrive.
    pub(super) fn fail(&mut self, task: TaskId, stops: bool) {
        self.failed_by = Some(self.failed_by.map_or(task, |known| known.min(task)));
        self.stopped |= stops;
    }
}

impl BlockScope {
    /// Returns the number of the step that failed, when the slot handles a failure.
    #[must_use]
    pub fn handled(&self, slot: Slot) -> Option<Slot> {
        slot.0.checked_sub(self.slots.len() as u32).map(Slot)
    }

    /// Counts the needs of a step that succeeded.
    pub(super) fn needs_succeeded(&self, step: &StepDef) -> u32 {
        let needs = step.needs.iter().filter_map(|need| self.slots.get(need.0 as usize));
        needs.filter(|slot| slot.phase == Phase::Succeeded).count() as u32
    }

    /// Tells whether enough needs of a step have succeeded, if it does not wait for all of them.
    pub(super) fn have_enough(&self, step: Option<&StepDef>) -> bool {
        let first = step.and_then(|step| Some((step, step.needs_first?)));
        first.is_some_and(|(step, first)| self.needs_succeeded(step) >= first)
    }

    /// Records the end of a handler.
    pub(super) fn handling_ended(&mut self, failed: Slot, phase: Phase) {
        if let Some(state) = self.slots.get_mut(failed.0 as usize) {
            state.phase = if phase == Phase::Succeeded { Phase::Tolerated } else { Phase::Failed };
        }
    }

    /// Makes failures final whose handlers have not begun.
    pub(super) fn handle_no_more(&mut self) {
        for (at, state) in self.slots.iter_mut().enumerate().filter(|(_, state)| state.phase == Phase::Handling) {
            if self.handlers.get(&(at as u32)).is_none_or(|handler| handler.task.is_none()) {
                state.phase = Phase::Failed;
            }
        }
    }

    /// Returns the slot of the handler of that step.
    #[must_use]
    pub fn handler_of(&self, failed: Slot) -> Slot {
        Slot(self.slots.len() as u32 + failed.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_never_meet_those_of_the_run_itself() {
        let mut seen = std::collections::HashSet::new();
        for outer in 0..300 {
            let scope = ScopeId::inner(ScopeId::ROOT, Slot(outer));
            assert!(!scope.is_outermost() && scope.0 > 0 && seen.insert(scope));
            for slot in 0..300 {
                assert!(seen.insert(ScopeId::inner(scope, Slot(slot))));
            }
        }
    }
}
