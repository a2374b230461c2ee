//! Decision whether a step may start, from the steps it needs.

use serde::{Deserialize, Serialize};

use super::{
    model::Run,
    scope::{Phase, ScopeId, ScopeKind, Slot, SlotState},
};
use crate::{
    definition::RunIf,
    mutant::{Mutant, planted},
};

/// Decision about a step whose needs have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its condition is evaluated and it starts.
    Start,
    /// It is skipped.
    Skip(SkipReason),
}

/// Reason why a step was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `if` was false.
    Condition,
    /// Every step it needs was skipped.
    NeedsSkipped,
    /// A step it needs failed or was cancelled.
    NeedFailed,
    /// It runs only after a failure, and no step failed.
    NothingFailed,
    /// It runs only after a success, and no step succeeded.
    NothingSucceeded,
    /// Another step stopped the run.
    RunStopped,
    /// Fewer of the steps it needs succeeded than it asks for.
    TooFew,
    /// A step of its `unless_begun` has begun.
    TooLate,
}

impl SkipReason {
    /// Returns the reason for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Condition => "its `if` is false",
            SkipReason::NeedsSkipped => "every step it needs was skipped",
            SkipReason::NeedFailed => "a step it needs did not succeed",
            SkipReason::NothingFailed => "it runs only after a failure, and nothing it needs failed",
            SkipReason::NothingSucceeded => "it runs only after a success, and nothing it needs succeeded",
            SkipReason::RunStopped => "another step failed and stopped the run",
            SkipReason::TooFew => "too few of the steps it needs succeeded",
            SkipReason::TooLate => "a step of its `unless_begun` has begun",
        }
    }
}

impl Run {
    /// Decides from the step's needs, and from whether its scope was stopped.
    #[must_use]
    pub fn verdict(&self, scope: ScopeId, slot: Slot) -> Verdict {
        let Some(state) = self.scopes.get(&scope) else { return Verdict::Skip(SkipReason::RunStopped) };
        let stopped = state.stopped && !planted(Mutant::StopIgnored);
        let block = match &state.kind {
            ScopeKind::Block(block) => block,
            ScopeKind::Items(_) if stopped => return Verdict::Skip(SkipReason::RunStopped),
            ScopeKind::Items(_) | ScopeKind::Turns(_) => return Verdict::Start,
        };
        if block.handled(slot).is_some() {
            return Verdict::Start;
        }
        let Some(step) = self.step(scope, slot) else { return Verdict::Skip(SkipReason::RunStopped) };
        let phases = || step.needs.iter().filter_map(|need| block.slots.get(need.0 as usize)).map(|slot| slot.phase);
        let failed = phases().any(|phase| matches!(phase, Phase::Failed | Phase::Cancelled));
        let any_failed = failed || phases().any(|phase| phase == Phase::Tolerated);
        let none = step.needs.is_empty();
        let begun = |slot: &SlotState| !matches!(slot.phase, Phase::Pending | Phase::Queued | Phase::Skipped);
        let late = !planted(Mutant::LateBegun);
        if late && step.unless_begun.iter().filter_map(|other| block.slots.get(other.0 as usize)).any(begun) {
            return Verdict::Skip(SkipReason::TooLate);
        }
        if let Some(first) = step.needs_first {
            return match block.needs_succeeded(step) >= first {
                true if !stopped => Verdict::Start,
                _ if failed => Verdict::Skip(SkipReason::NeedFailed),
                true => Verdict::Skip(SkipReason::RunStopped),
                false => Verdict::Skip(SkipReason::TooFew),
            };
        }
        match step.run_if {
            RunIf::Always => Verdict::Start,
            RunIf::Failure if any_failed => Verdict::Start,
            RunIf::Failure => Verdict::Skip(SkipReason::NothingFailed),
            _ if stopped && !failed => Verdict::Skip(SkipReason::RunStopped),
            RunIf::AnySuccess if none || phases().any(|phase| phase == Phase::Succeeded) => Verdict::Start,
            RunIf::AnySuccess => Verdict::Skip(SkipReason::NothingSucceeded),
            RunIf::Success if failed => Verdict::Skip(SkipReason::NeedFailed),
            RunIf::Success if !none && phases().all(|phase| phase == Phase::Skipped) => {
                if planted(Mutant::SkipStartsAnyway) {
                    return Verdict::Start;
                }
                Verdict::Skip(SkipReason::NeedsSkipped)
            }
            RunIf::Success => Verdict::Start,
        }
    }
}
