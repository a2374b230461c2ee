//! Steps that may begin next.

use std::sync::Arc;

use super::{
    model::Run,
    scope::{Phase, Scope, ScopeId, ScopeKind, Slot, SlotState},
    verdict::Verdict,
};

/// Limit of items in progress of one list, whatever its `max_parallel` is.
const AT_ONCE_MAX: usize = 1_000;

/// A slot whose needs have ended, and the decision about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct NextStep {
    pub scope: ScopeId,
    pub slot: Slot,
    /// Start or skip.
    pub verdict: Verdict,
}

impl Run {
    /// Takes up to `most` slots that may begin, for the caller to begin. A slot that was taken and not begun is not
    /// stored: after a crash it may begin again.
    pub fn take_ready(&mut self, most: usize) -> Vec<NextStep> {
        let mut next = Vec::new();
        if self.paused.is_some() || self.status.kind().is_terminal() {
            return next;
        }
        while next.len() < most {
            let Some(scope) = self.awake.first().copied() else { break };
            match self.pop(scope) {
                Some(slot) => next.push(NextStep { scope, slot, verdict: self.verdict(scope, slot) }),
                None => {
                    self.awake.remove(&scope);
                }
            }
        }
        next
    }

    /// Tells whether there may be slots left to take.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.paused.is_none() && !self.awake.is_empty() && !self.status.kind().is_terminal()
    }

    /// Takes the slot of the scope that the run's strategy puts next.
    fn pop(&mut self, id: ScopeId) -> Option<Slot> {
        let order = Arc::clone(&self.order);
        let parallel = match self.scopes.get(&id) {
            Some(Scope { kind: ScopeKind::Items(_), parent: Some((outer, slot)), .. }) => {
                let list = self.step(*outer, *slot).and_then(|step| step.for_each.as_ref());
                list.map_or(1, |list| list.max_parallel as usize).min(AT_ONCE_MAX)
            }
            _ => 1,
        };
        let scope = self.scopes.get_mut(&id)?;
        if scope.dead || scope.satisfied || scope.closed {
            return None;
        }
        match &mut scope.kind {
            ScopeKind::Block(block) => {
                if block.busy >= order.at_once() {
                    return None;
                }
                let (_, slot) = block.ready.pop_first()?;
                block.busy += 1;
                if let Some(state) = scope.slot_mut(slot) {
                    state.phase = Phase::Queued;
                }
                Some(slot)
            }
            ScopeKind::Items(items) => {
                if scope.stopped || items.open.len() >= parallel {
                    return None;
                }
                let slot = match items.gaps.pop_front() {
                    Some(gap) => gap,
                    None if items.next < items.total => {
                        items.next += 1;
                        items.next - 1
                    }
                    None => return None,
                };
                items.open.insert(slot, SlotState::QUEUED);
                Some(Slot(slot))
            }
            ScopeKind::Turns(turns) => {
                if turns.over || turns.state.phase != Phase::Pending {
                    return None;
                }
                turns.state.phase = Phase::Queued;
                Some(Slot(turns.turn))
            }
        }
    }
}
