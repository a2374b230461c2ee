//! Scopes: the places in which steps, items and turns happen.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{definition::BlockIx, id::TaskId};

/// The name of a scope within its run. It follows from where the scope is, so that two servers, a recovery and a rerun
/// give the same scope the same id.
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

    /// The scope that a slot opens. 63 bits of a well-mixed hash: among a million scopes of a run two are equal with a
    /// probability of about 5e-8, and then the store refuses the second step instead of mixing them up.
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

    /// Whether it is a block of the run itself, inside of no step.
    #[must_use]
    pub fn is_outermost(self) -> bool {
        (0..4).contains(&self.0)
    }
}

/// A place within a scope: the number of a step of its block, of an item or of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// What a slot opens when it holds further slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The items of a list.
    Items {
        /// How many.
        total: u32,
    },
    /// The turns of a loop.
    Turns,
    /// The steps of a block, or of the branch that was taken.
    Block(BlockIx),
}

/// One level of a run under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The slot that opened it; none for the blocks of the run itself.
    pub parent: Option<(ScopeId, Slot)>,
    /// The block of the run that it is in the end part of.
    pub outermost: ScopeId,
    /// What happens in it.
    pub kind: ScopeKind,
    /// The failure that makes it fail: of several the one whose task is the oldest.
    pub failed_by: Option<TaskId>,
    /// Nothing further begins but what asks for failures.
    pub stopped: bool,
    /// Nothing further begins at all: what is open is being cancelled.
    pub dead: bool,
    /// It is done and stays only so that the next turn of its loop can look at its steps.
    pub closed: bool,
}

/// What happens in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeKind {
    /// The steps of a block.
    Block(BlockScope),
    /// The items of a list.
    Items(ItemsScope),
    /// The turns of a loop, one at a time.
    Turns(TurnsScope),
}

/// The steps of a block under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockScope {
    /// Which block.
    pub block: BlockIx,
    /// Its steps by number.
    pub slots: Vec<SlotState>,
    /// Steps that handle a failure, by the number of the step that failed.
    pub handlers: BTreeMap<u32, SlotState>,
    /// Steps that have not ended.
    pub unfinished: u32,
    /// Steps that were taken up and have not ended.
    pub(super) busy: u32,
    /// What may begin: first by rank, then in the order in which it became ready.
    pub(super) ready: BTreeMap<(i64, u64), Slot>,
}

/// The items of a list under way. Only open ones are in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemsScope {
    /// Their number.
    pub total: u32,
    /// The first that was never taken up.
    pub next: u32,
    /// Taken up before a crash, and lost with it.
    pub gaps: VecDeque<u32>,
    /// Taken up and not ended.
    pub open: BTreeMap<u32, SlotState>,
    /// How many ended.
    pub ended: u32,
}

/// The turns of a loop under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnsScope {
    /// The number of the turn.
    pub turn: u32,
    /// The turn itself.
    pub state: SlotState,
    /// The task of the turn before it.
    pub last: Option<TaskId>,
    /// The turn before it was skipped.
    pub left_out: bool,
    /// No turn follows.
    pub over: bool,
}

/// One step, item or turn, as its scope sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotState {
    /// How far it is.
    pub phase: Phase,
    /// Needed steps that have not ended.
    pub unmet: u32,
    /// Its task, once there is one.
    pub task: Option<TaskId>,
}

impl SlotState {
    pub(super) const FRESH: SlotState = SlotState { phase: Phase::Pending, unmet: 0, task: None };
    pub(super) const QUEUED: SlotState = SlotState { phase: Phase::Queued, unmet: 0, task: None };
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
    /// It failed, and the step that handles that has not ended.
    Handling,
    /// Ended well.
    Succeeded,
    /// Failed, and made its scope fail.
    Failed,
    /// Failed, and the run goes on: `on_error: continue`, or the failure was handled.
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
        !matches!(self, Phase::Pending | Phase::Queued | Phase::Open | Phase::Handling)
    }
}

impl Scope {
    pub(super) fn new(parent: Option<(ScopeId, Slot)>, outermost: ScopeId, kind: ScopeKind) -> Scope {
        Scope { parent, outermost, kind, failed_by: None, stopped: false, dead: false, closed: false }
    }

    /// The state of a slot that has one.
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

    /// The slots that have a task that has not ended.
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

    /// Nothing in it is left to be done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        if self.dead || self.closed {
            return false;
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

    /// It fails, of several failures by that of the oldest task, however their ends were ordered.
    pub(super) fn fail(&mut self, task: TaskId, stops: bool) {
        self.failed_by = Some(self.failed_by.map_or(task, |known| known.min(task)));
        self.stopped |= stops;
    }
}

impl BlockScope {
    /// The number of the step that failed, when the slot handles a failure.
    #[must_use]
    pub fn handled(&self, slot: Slot) -> Option<Slot> {
        slot.0.checked_sub(self.slots.len() as u32).map(Slot)
    }

    /// The failure of a step has been handled, or not.
    pub(super) fn handling_ended(&mut self, failed: Slot, phase: Phase) {
        if let Some(state) = self.slots.get_mut(failed.0 as usize) {
            state.phase = if phase == Phase::Succeeded { Phase::Tolerated } else { Phase::Failed };
        }
    }

    /// Failures that nobody has begun to handle stay failures.
    pub(super) fn handle_no_more(&mut self) {
        for (at, state) in self.slots.iter_mut().enumerate().filter(|(_, state)| state.phase == Phase::Handling) {
            if self.handlers.get(&(at as u32)).is_none_or(|handler| handler.task.is_none()) {
                state.phase = Phase::Failed;
            }
        }
    }

    /// The slot of the step that handles a failure of that step.
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
