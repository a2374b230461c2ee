//! Strategies: in which order the ready steps of a block begin, and what a failure does to the rest.

use std::{fmt::Debug, sync::Arc};

use crate::{
    definition::{StepDef, StepIx, Strategy},
    mutant::{Mutant, planted},
};

/// What a failure that nothing tolerates does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// No further step of its block begins, but those that ask for failures. What runs is let finish.
    Stop,
    /// The run ends at once: what runs is cancelled.
    FailFast,
    /// Steps that do not need it go on; the block fails in the end.
    GoOn,
}

/// A strategy. It must be deterministic: the same step always gets the same answer, also after a restart.
pub trait StepOrder: Send + Sync + Debug {
    /// The lower, the earlier among the ready steps of a block; equal ones begin in the order in which they became ready.
    fn rank(&self, at: StepIx, step: &StepDef) -> i64;

    /// How many steps of one block may be under way at once.
    fn at_once(&self) -> u32 {
        u32::MAX
    }

    /// What a failure of that step does.
    fn on_failure(&self, _step: &StepDef) -> Reaction {
        Reaction::Stop
    }
}

/// One step of a block after the other, in the order of the file.
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

/// All that are ready.
#[derive(Debug)]
pub struct Parallel;

impl StepOrder for Parallel {
    fn rank(&self, _at: StepIx, _step: &StepDef) -> i64 {
        0
    }
}

/// Higher priorities first; from a priority on a failure ends the run at once, below it the others go on.
#[derive(Debug)]
pub struct Priority {
    /// The lowest priority whose failure ends the run at once.
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

/// The order of a strategy that is always there; none for one that a user of the library must have registered.
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
