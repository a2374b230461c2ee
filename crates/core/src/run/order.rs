//! Strategies: the order in which the ready steps of a block begin, and the effect of a failure on the rest.

use std::{fmt::Debug, sync::Arc};

use crate::{
    definition::{StepDef, StepIx, Strategy},
    mutant::{Mutant, planted},
};

/// Effect of a failure that nothing tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// No further step of its block begins, except those that run after failures. Running steps may finish.
    Stop,
    /// The run ends at once: running steps are cancelled.
    FailFast,
    /// Steps that do not need it continue; the block fails in the end.
    GoOn,
}

/// A strategy. It must be deterministic: an equal step always gets an equal answer, also after a restart.
pub trait StepOrder: Send + Sync + Debug {
    /// Returns the rank of a step. Lower ones begin earlier among the ready steps of a block; equal ones begin in the
    /// order in which they became ready.
    fn rank(&self, at: StepIx, step: &StepDef) -> i64;

    /// Returns the limit of steps of one block in progress.
    fn at_once(&self) -> u32 {
        u32::MAX
    }

    /// Returns the effect of a failure of that step.
    fn on_failure(&self, _step: &StepDef) -> Reaction {
        Reaction::Stop
    }
}

/// Runs the steps of a block in the order of the file, one at a time.
#[derive(Debug)]
pub struct Sequential;

impl StepOrder for Sequential {
    fn rank(&self, at: StepIx, _step: &StepDef) -> i64 {
        at.0.into()
    }

    fn at_once(&self) -> u32 {
        if planted(Mutant::SequenceIgnored) { u32::MAX } else { 1 }
    }
}

/// Runs all ready steps at once.
#[derive(Debug)]
pub struct Parallel;

impl StepOrder for Parallel {
    fn rank(&self, _at: StepIx, _step: &StepDef) -> i64 {
        0
    }
}

/// Runs higher priorities first; from a priority on a failure ends the run at once, below it the other steps continue.
#[derive(Debug)]
pub struct Priority {
    /// Lowest priority whose failure ends the run at once.
    pub fail_fast_at: i32,
}

impl StepOrder for Priority {
    fn rank(&self, _at: StepIx, step: &StepDef) -> i64 {
        -i64::from(step.priority)
    }

    fn on_failure(&self, step: &StepDef) -> Reaction {
        if step.priority >= self.fail_fast_at { Reaction::FailFast } else { Reaction::GoOn }
    }
}

/// Returns the order of a built-in strategy. Returns `None` for one that a user of the library must have registered.
#[must_use]
pub fn built_in(strategy: &Strategy) -> Option<Arc<dyn StepOrder>> {
    Some(match strategy {
        Strategy::Sequential => Arc::new(Sequential),
        Strategy::Parallel => Arc::new(Parallel),
        Strategy::Priority { fail_fast_at } => {
            Arc::new(Priority { fail_fast_at: fail_fast_at.unwrap_or(Strategy::FAIL_FAST_AT) })
        }
        Strategy::Custom(_) => return None,
    })
}
