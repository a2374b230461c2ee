//! Decision about a step from the ends of the steps it needs: the slow and obvious way.

use crate::flow::{Condition, FlowStep, When};

/// End of a step, as those that need it see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It succeeded.
    Good,
    /// It failed, and the failure is tolerated.
    Soft,
    /// It failed, or was cancelled.
    Bad,
    /// It was skipped.
    Skipped,
}

/// Result of a step's needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It must start.
    Start,
    /// It must be skipped.
    Skip,
    /// A needed step has not ended yet.
    Wait,
}

/// Decides about a step without its condition. `end` returns the end of another step, `None` when it has not ended;
/// `stopped`: its block was stopped.
pub fn due(step: &FlowStep, end: &dyn Fn(usize) -> Option<End>, stopped: bool) -> Due {
    let ends: Vec<Option<End>> = step.needs.iter().map(|need| end(*need)).collect();
    if ends.contains(&None) {
        return Due::Wait;
    }
    let count = |wanted: End| ends.iter().filter(|end| **end == Some(wanted)).count();
    let (good, soft, bad, skipped) = (count(End::Good), count(End::Soft), count(End::Bad), count(End::Skipped));
    let all_skipped = !ends.is_empty() && skipped == ends.len();
    let allowed = match step.run_if {
        When::Always => true,
        When::Failure => bad + soft > 0,
        When::AnySuccess => (!stopped || bad > 0) && (ends.is_empty() || good > 0),
        When::Success => bad == 0 && !stopped && !all_skipped,
    };
    if allowed { Due::Start } else { Due::Skip }
}

/// Tells whether the condition holds.
pub fn holds(condition: Condition, end: &dyn Fn(usize) -> Option<End>, input: bool) -> bool {
    match condition {
        Condition::None => true,
        Condition::Input => input,
        Condition::NotInput => !input,
        Condition::Succeeded(need) => end(need) == Some(End::Good),
    }
}
