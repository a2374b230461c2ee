//! The watchdog: a run never stays open with nothing to wait for.
//!
//! A run is checked in the turn that touched it, so all others cost nothing. Work outside of the loop is known by what
//! was sent to the pool and has not come back. After a start every open run is touched once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kapelle_core::{
    RunId,
    mutant::{Mutant, planted},
    run::{Abandon, Completion, ScopeId, Slot},
};
use kapelle_store::StoreError;

use super::{advance, effect::Effect, part::Part, rows::Rows, state::LoopState};
use crate::evaluate::{Evaluated, Evaluation};

/// Evaluated part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Start of a slot.
    Begin(ScopeId, Slot),
    /// The output of a scope.
    Close(ScopeId),
    /// The end of the run.
    End,
}

/// Evaluations of runs that were sent to the pool and have not come back, with their number.
type Sent = HashMap<RunId, BTreeMap<Place, u32>>;

/// Parts of runs that are evaluated on the pool.
#[derive(Debug, Default)]
pub(super) struct Evaluations {
    out: Sent,
    /// Evaluations that the current turn sends, and those that came back in it.
    sent: Sent,
    back: Vec<(RunId, Place)>,
}

impl Part for Evaluations {
    fn forget(&mut self, _rows: &mut Rows) {
        self.sent.clear();
        self.back.clear();
    }

    fn committed(&mut self) {
        // First the results: they belong to earlier turns. A result that arrives twice must not count against an
        // evaluation that this turn sends.
        for (run, place) in std::mem::take(&mut self.back) {
            let Some(places) = self.out.get_mut(&run) else { continue };
            if let Some(times) = places.get_mut(&place) {
                *times = times.saturating_sub(1);
            }
            places.retain(|_, times| *times > 0);
            if places.is_empty() {
                self.out.remove(&run);
            }
        }
        for (run, places) in std::mem::take(&mut self.sent) {
            let known = self.out.entry(run).or_default();
            places.into_iter().for_each(|(place, times)| *known.entry(place).or_default() += times);
        }
    }
}

impl Evaluations {
    /// Sends an evaluation to the pool.
    pub(super) fn send(&mut self, rows: &mut Rows, evaluation: Evaluation) {
        if planted(Mutant::EvaluationLost) && rows.random().is_multiple_of(8) {
            return;
        }
        let (run, place) = evaluation.place();
        *self.sent.entry(run).or_default().entry(place).or_default() += 1;
        rows.effects.push(Effect::Evaluate(Box::new(evaluation)));
    }

    /// Records an evaluation that came back.
    pub(super) fn came_back(&mut self, run: RunId, place: Place) {
        self.back.push((run, place));
    }

    /// Tells whether a part of the run is being evaluated, including the current turn.
    fn is_evaluating(&self, run: RunId) -> bool {
        if self.sent.contains_key(&run) {
            return true;
        }
        let Some(places) = self.out.get(&run) else { return false };
        let back = |place: &Place| self.back.iter().filter(|came| **came == (run, *place)).count();
        places.iter().any(|(place, times)| *times as usize > back(place))
    }
}

/// Ends the runs that the turn checked and that have nothing to wait for. Returns false without such a run.
pub(super) fn end_stuck(state: &mut LoopState) -> Result<bool, StoreError> {
    let mut found = false;
    for id in std::mem::take(&mut state.scratch.advanced) {
        if state.scratch.more.contains(&id) || state.pauses.contains(&id) || state.evaluations.is_evaluating(id) {
            continue;
        }
        let Some(run) = state.rows.cache.run(id).filter(|run| run.is_stuck()) else { continue };
        let error = Arc::new(run.stuck_error());
        tracing::error!(run = %id, "a run had nothing left to wait for and was ended: this is a fault of Kapelle");
        found = true;
        if matches!(run.completion(), Some(Completion::Outputs | Completion::Failed(_) | Completion::Cancelled)) {
            advance::finish_with(state, id, Evaluated::Invalid(error))?;
            continue;
        }
        let events = Abandon { error }.decide(run).unwrap_or_default();
        events.iter().for_each(|event| state.rows.record(id, event));
        state.scratch.touched.insert(id);
        state.timers.stir();
    }
    Ok(found)
}
