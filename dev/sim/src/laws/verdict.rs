//! What is to become of a step, told from how the steps it needs ended: the slow and obvious way.

use crate::flow::{Condition, FlowStep, When};

/// How a step ended, as those that need it see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Good,
    /// It failed, and that is tolerated.
    Soft,
    /// It failed, or was cancelled.
    Bad,
    /// It was left out.
    Skipped,
}

/// What the needs of a step say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It must start.
    Start,
    /// It must be left out.
    Skip,
    /// A step it needs has not ended: nothing yet.
    Wait,
}

/// What is to become of a step, its condition left aside. `end` tells how another step ended, `None` when it has not;
/// `stopped` whether its block was stopped.
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

/// Whether the condition holds.
pub fn holds(condition: Condition, end: &dyn Fn(usize) -> Option<End>, input: bool) -> bool {
    match condition {
        Condition::None => true,
        Condition::Input => input,
        Condition::NotInput => !input,
        Condition::Succeeded(need) => end(need) == Some(End::Good),
    }
}
