//! Command: a step is begun or skipped, with its condition and input evaluated.

use std::sync::Arc;

use super::{
    ended::Ending,
    event::{Outcome, RunEvent},
    model::{Run, RunRejection},
    scope::{Opening, Phase, ScopeId, ScopeKind, Slot},
    verdict::{SkipReason, Verdict},
};
use crate::{
    Name, TaskError,
    id::TaskId,
    mutant::{Mutant, planted},
};

/// Action of a step that begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Beginning {
    /// Runs on its evaluated input.
    Start,
    /// Waits for an event, for a signal when one is named.
    Wait(Option<Name>),
    /// Opens a scope of its own.
    Open(Opening),
    /// Does not begin: the `until` of its loop holds.
    Enough,
    /// Is skipped.
    Skip(SkipReason),
    /// Fails before it begins: its condition or input could not be evaluated.
    Invalid(Arc<TaskError>),
}

/// Begins or skips one slot.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct BeginStep {
    pub scope: ScopeId,
    pub slot: Slot,
    /// Action.
    pub beginning: Beginning,
    /// Id of the row that is made for it.
    pub task: TaskId,
}

/// Row that must be made for a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStart {
    /// A task that will be claimed.
    Task,
    /// A row that waits for another event than a worker's answer.
    Waiting,
    /// A row that waits for the scope it opened.
    Opened(Opening),
    /// A row of a skipped step.
    Skipped(SkipReason),
    /// A row of a failed step.
    Failed(Arc<TaskError>),
    /// No row.
    Nothing,
}

impl BeginStep {
    /// Returns the events and the row to make.
    ///
    /// # Errors
    /// When the run has ended, or the slot is not waiting to be begun: an evaluation that was repeated after a crash or
    /// a conflict arrives twice, or its scope is being ended.
    pub fn decide(self, run: &Run) -> Result<(Vec<RunEvent>, StepStart), RunRejection> {
        let BeginStep { scope, slot, beginning, task } = self;
        if run.status.kind().is_terminal() {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let state = run.slot(scope, slot);
        let phase = state.map_or(Phase::Skipped, |state| state.phase);
        let early = planted(Mutant::StartBeforeNeeds);
        if !run.is_alive(scope, slot) || !(early || state.is_some_and(|state| state.unmet == 0)) {
            return Err(RunRejection::WrongPhase { run: run.id, step: run.path(scope, slot), phase });
        }
        // Its condition and input may have taken their time: what happened since then decides.
        let beginning = match run.verdict(scope, slot) {
            Verdict::Skip(reason) if !planted(Mutant::StaleVerdict) => Beginning::Skip(reason),
            _ => beginning,
        };
        let started = |signal| RunEvent::StepStarted { scope, slot, task, signal };
        Ok(match beginning {
            Beginning::Start => (vec![started(None)], StepStart::Task),
            Beginning::Wait(signal) => (vec![started(signal)], StepStart::Waiting),
            Beginning::Open(opening) => {
                (vec![RunEvent::ScopeOpened { scope, slot, task, opening }], StepStart::Opened(opening))
            }
            Beginning::Enough => match run.scopes.get(&scope).map(|scope| &scope.kind) {
                Some(ScopeKind::Turns(_)) => (vec![RunEvent::LoopEnded { scope }], StepStart::Nothing),
                _ => return Err(RunRejection::WrongPhase { run: run.id, step: run.path(scope, slot), phase }),
            },
            Beginning::Skip(reason) => {
                let mut events = vec![RunEvent::StepSkipped { scope, slot, task, reason }];
                // A skipped handler leaves the failure as it is.
                if let Some(task) = run.handled_failure(scope, slot) {
                    let outcome = Outcome::Failed;
                    events.extend(run.failure(&Ending { scope, slot, task, outcome }, None));
                }
                (events, StepStart::Skipped(reason))
            }
            Beginning::Invalid(error) => {
                let outcome = Outcome::Failed;
                let mut events = vec![started(None), RunEvent::StepEnded { scope, slot, task, outcome }];
                events.extend(run.failure(&Ending { scope, slot, task, outcome }, Some(&error)));
                (events, StepStart::Failed(error))
            }
        })
    }
}

impl Run {
    /// Returns a slot to the ready list that was taken up and cannot begin now, because the run is paused.
    pub fn put_back(&mut self, id: ScopeId, slot: Slot) {
        let Some(scope) = self.scopes.get_mut(&id) else { return };
        let Some(state) = scope.slot_mut(slot).filter(|state| state.phase == Phase::Queued) else { return };
        state.phase = Phase::Pending;
        match &mut scope.kind {
            ScopeKind::Block(block) => {
                block.busy = block.busy.saturating_sub(1);
                self.push_ready(id, slot);
            }
            ScopeKind::Items(items) => {
                items.open.remove(&slot.0);
                items.gaps.push_front(slot.0);
            }
            ScopeKind::Turns(_) => {}
        }
        self.awake.insert(id);
        // A list that was stopped meanwhile may have waited for this slot alone.
        self.note_done(id);
    }
}
