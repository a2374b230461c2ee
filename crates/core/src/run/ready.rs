//! Which steps are to be settled next.

use crate::{
    definition::Strategy,
    mutant::{Mutant, planted},
    run::model::{Phase, Run, RunStatus, ScopeId, Slot},
    run::verdict::Verdict,
};

/// A step whose needs have ended, and what is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    /// Where.
    pub scope: ScopeId,
    /// Which step.
    pub slot: Slot,
    /// Start or skip.
    pub verdict: Verdict,
}

impl Run {
    /// Takes up to `most` steps off the ready list, for the caller to settle. What was taken and not begun is not
    /// stored: after a crash it is on the list again.
    pub fn take_ready(&mut self, most: usize) -> Vec<NextStep> {
        if !matches!(self.status, RunStatus::Running) {
            return Vec::new();
        }
        let mut next = Vec::new();
        while next.len() < most {
            let Some(place) = self.next_place(&next) else { break };
            let Some((scope, slot)) = self.ready.remove(place) else { break };
            if let Some(state) = self.scopes.get_mut(&scope).and_then(|scope| scope.slots.get_mut(slot.0 as usize)) {
                state.phase = Phase::Queued;
                self.queued += 1;
            }
            next.push(NextStep { scope, slot, verdict: self.verdict(scope, slot) });
        }
        next
    }

    /// Whether there are steps left to take.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty() && matches!(self.status, RunStatus::Running)
    }

    /// The place on the list of the step that the run's strategy puts next.
    fn next_place(&self, taken: &[NextStep]) -> Option<usize> {
        if self.ready.is_empty() {
            return None;
        }
        match self.strategy {
            Strategy::Parallel | Strategy::Custom(_) => Some(0),
            Strategy::Sequential => {
                let busy = self.open_tasks > 0 || self.queued > 0 || !taken.is_empty();
                let busy = busy && !planted(Mutant::SequenceIgnored);
                let first = self.ready.iter().enumerate().min_by_key(|(_, entry)| **entry).map(|(place, _)| place);
                if busy { None } else { first }
            }
            Strategy::Priority { .. } => {
                let key = |&(scope, slot): &(ScopeId, Slot)| {
                    (std::cmp::Reverse(self.step(scope, slot).map_or(0, |step| step.priority)), scope, slot)
                };
                self.ready.iter().enumerate().min_by_key(|(_, entry)| key(entry)).map(|(place, _)| place)
            }
        }
    }
}
