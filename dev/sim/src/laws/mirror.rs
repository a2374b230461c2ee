//! Comparison of the three views of a run: the journal, the rows and the memory of a server.

use std::collections::{BTreeMap, BTreeSet};

use kapelle_core::{
    Name, TaskId,
    run::{Phase, Run, ScopeId, ScopeKind, Slot, SlotState},
};

/// A run without the data that only its server knows: pending evaluations, and the order in which steps became ready.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    scopes: BTreeMap<ScopeId, SeenScope>,
    open: u32,
    to_cancel: BTreeSet<TaskId>,
    waiting: BTreeMap<Name, BTreeSet<TaskId>>,
}

type SeenSlot = (Phase, u32, Option<TaskId>);

#[derive(Debug, PartialEq)]
struct SeenScope {
    parent: Option<(ScopeId, Slot)>,
    failed_by: Option<TaskId>,
    stopped: bool,
    closed: bool,
    kind: SeenKind,
}

#[derive(Debug, PartialEq)]
enum SeenKind {
    Block { slots: Vec<SeenSlot>, handlers: BTreeMap<u32, SeenSlot>, unfinished: u32 },
    Items { open: BTreeMap<u32, SeenSlot>, left: BTreeSet<u32>, ended: u32 },
    Turns { turn: u32, state: SeenSlot, last: Option<TaskId>, over: bool },
}

/// Returns the scopes that were ended from outside. No step begins in them, so their rest is not counted, and the rows
/// do not tell whether they would have failed.
pub(super) fn dead(run: &Run) -> BTreeSet<ScopeId> {
    run.scopes.iter().filter(|(_, scope)| scope.dead).map(|(id, _)| *id).collect()
}

/// Returns the visible state of a run with these dead scopes.
pub(super) fn seen(run: &Run, dead: &BTreeSet<ScopeId>) -> Seen {
    let scope = |id: &ScopeId, scope: &kapelle_core::run::Scope| {
        let dead = dead.contains(id);
        // A step under evaluation is not stored: it is still pending for other readers.
        let slot = |state: &SlotState| {
            let phase = if state.phase == Phase::Queued { Phase::Pending } else { state.phase };
            (phase, if dead { 0 } else { state.unmet }, state.task)
        };
        // Failures in it are not handled any more.
        let called = |(_, state): &(&u32, &SlotState)| !dead || state.task.is_some();
        let ended = |(phase, unmet, task): SeenSlot| match phase {
            Phase::Handling if dead => (Phase::Failed, unmet, task),
            _ => (phase, unmet, task),
        };
        let kind = match &scope.kind {
            ScopeKind::Block(block) => SeenKind::Block {
                slots: block.slots.iter().map(slot).map(ended).collect(),
                handlers: block.handlers.iter().filter(called).map(|(failed, state)| (*failed, slot(state))).collect(),
                unfinished: if dead { 0 } else { block.unfinished },
            },
            ScopeKind::Items(items) => {
                let begun = |state: &SlotState| state.phase != Phase::Queued;
                let queued = items.open.iter().filter(|(_, state)| !begun(state)).map(|(at, _)| *at);
                SeenKind::Items {
                    open: items.open.iter().filter(|(_, s)| begun(s)).map(|(at, state)| (*at, slot(state))).collect(),
                    left: queued.chain(items.gaps.iter().copied()).chain(items.next..items.total).collect(),
                    ended: items.ended,
                }
            }
            ScopeKind::Turns(turns) => {
                let (turn, last, over) = (turns.turn, turns.last, turns.over);
                SeenKind::Turns { turn, state: slot(&turns.state), last, over }
            }
        };
        let (failed_by, stopped) = (scope.failed_by.filter(|_| !dead), scope.stopped && !dead);
        let (parent, closed) = (scope.parent, scope.closed);
        SeenScope { parent, failed_by, stopped, closed, kind }
    };
    // The end part has no row before its first step: after a crash it is opened again.
    let begun = |(id, scope): &(&ScopeId, &kapelle_core::run::Scope)| match &scope.kind {
        ScopeKind::Block(block) if id.is_outermost() && **id != ScopeId::ROOT => {
            block.slots.iter().any(|slot| slot.task.is_some())
        }
        _ => true,
    };
    Seen {
        scopes: run.scopes.iter().filter(begun).map(|(id, inner)| (*id, scope(id, inner))).collect(),
        open: run.open_tasks,
        to_cancel: run.to_cancel.clone(),
        waiting: run.waiting.clone(),
    }
}
