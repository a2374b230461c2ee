//! A step is begun or left out, its condition and input settled.

use std::sync::Arc;

use crate::{
    TaskError,
    id::TaskId,
    mutant::{Mutant, planted},
    run::{
        event::{Outcome, RunEvent},
        model::{Phase, Run, RunRejection, RunStatus, ScopeId, Slot},
        verdict::{SkipReason, Verdict},
    },
};

/// What the step is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Beginning {
    /// Run, on the input that was evaluated for it.
    Start,
    /// Be left out.
    Skip(SkipReason),
    /// Fail before it began: its condition or input could not be evaluated.
    Invalid(Arc<TaskError>),
}

/// Settles one step.
#[derive(Debug, Clone, PartialEq)]
pub struct BeginStep {
    /// Where.
    pub scope: ScopeId,
    /// Which step.
    pub slot: Slot,
    /// What it is to do.
    pub beginning: Beginning,
    /// The id of the row that is made for it.
    pub task: TaskId,
}

/// The row that must be made for a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepStart {
    /// A task that will be claimed.
    Task,
    /// A row that only tells that the step was skipped.
    Skipped(SkipReason),
    /// A row that only tells why the step failed.
    Failed(Arc<TaskError>),
}

impl BeginStep {
    /// The events and the row to make.
    ///
    /// # Errors
    /// When the run no longer runs, or the step is not waiting to be begun (an evaluation that was repeated after a
    /// crash or a conflict arrives twice).
    pub fn decide(self, run: &Run) -> Result<(Vec<RunEvent>, StepStart), RunRejection> {
        let BeginStep { scope, slot, beginning, task } = self;
        if !matches!(run.status, RunStatus::Running) {
            return Err(RunRejection::NotRunning { run: run.id, status: run.status.kind() });
        }
        let state = run.slot(scope, slot);
        let phase = state.map_or(Phase::Skipped, |state| state.phase);
        let early = planted(Mutant::StartBeforeNeeds);
        let waiting = matches!(phase, Phase::Pending | Phase::Queued) && (early || state.is_some_and(|s| s.unmet == 0));
        if !waiting {
            return Err(RunRejection::WrongPhase { run: run.id, step: run.path(scope, slot), phase });
        }
        // Its condition and input may have taken their time: what happened since then decides.
        let beginning = match run.verdict(scope, slot) {
            Verdict::Skip(reason) if !planted(Mutant::StaleVerdict) => Beginning::Skip(reason),
            _ => beginning,
        };
        Ok(match beginning {
            Beginning::Start => (vec![RunEvent::StepStarted { scope, slot, task }], StepStart::Task),
            Beginning::Skip(reason) => {
                (vec![RunEvent::StepSkipped { scope, slot, task, reason }], StepStart::Skipped(reason))
            }
            Beginning::Invalid(error) => {
                let mut events = vec![
                    RunEvent::StepStarted { scope, slot, task },
                    RunEvent::StepEnded { scope, slot, outcome: Outcome::Failed },
                ];
                if run.stops_on_failure(scope, slot) {
                    events.push(RunEvent::Stopping { task });
                }
                (events, StepStart::Failed(error))
            }
        })
    }
}
