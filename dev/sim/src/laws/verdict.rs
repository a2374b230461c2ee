//! What is to become of a step, told from the rows of the steps it needs: the slow and obvious way.

use kapelle_core::task::StateKind;

use crate::flow::{Condition, FlowStep, When};

/// What is to become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It must start.
    Start,
    /// It must be left out.
    Skip,
    /// A step it needs has not ended: nothing yet.
    Wait,
}

/// What is to become of a step. `state` tells how another step ended, `None` when it has not; `tolerated` whether it
/// may fail; `stopped` whether the run was stopped; `input` the one input that conditions look at.
pub fn due(
    step: &FlowStep,
    state: &dyn Fn(usize) -> Option<StateKind>,
    tolerated: &dyn Fn(usize) -> bool,
    stopped: bool,
    input: bool,
) -> Due {
    let mut failed_hard = false;
    let mut failed_soft = false;
    let mut skipped = 0;
    for &need in &step.needs {
        match state(need) {
            None => return Due::Wait,
            Some(StateKind::Succeeded) => {}
            Some(StateKind::Skipped) => skipped += 1,
            Some(StateKind::Failed) if tolerated(need) => failed_soft = true,
            Some(_) => failed_hard = true,
        }
    }
    let allowed = match step.run_if {
        When::Always => true,
        When::Failure => failed_hard || failed_soft,
        When::Success => {
            let all_skipped = !step.needs.is_empty() && skipped == step.needs.len();
            !failed_hard && !stopped && !all_skipped
        }
    };
    let holds = match step.condition {
        Condition::None => true,
        Condition::Input => input,
        Condition::NotInput => !input,
        Condition::Succeeded(need) => state(need) == Some(StateKind::Succeeded),
    };
    if allowed && holds { Due::Start } else { Due::Skip }
}
