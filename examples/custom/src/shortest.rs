//! A strategy: the steps of a block begin one at a time, the one with the shortest name first.

use kapelle::core::{
    definition::{StepDef, StepIx},
    run::{Reaction, StepOrder},
};

/// Runs one step of a block at a time, short names first; after a failure, steps that do not need it continue.
#[derive(Debug)]
pub struct ShortestFirst;

impl StepOrder for ShortestFirst {
    fn rank(&self, _at: StepIx, step: &StepDef) -> i64 {
        i64::try_from(step.name.as_str().len()).unwrap_or(i64::MAX)
    }

    fn at_once(&self) -> u32 {
        1
    }

    fn on_failure(&self, _step: &StepDef) -> Reaction {
        Reaction::GoOn
    }
}
