//! Durations of blocks: the longest way through steps that need each other.

use super::span::Span;
use crate::definition::{Block, StepIx, Strategy};

/// Ends of the steps of a block, by step, counted from the start of the block.
#[derive(Debug)]
pub(super) struct Timetable {
    pub end: Vec<Span>,
}

impl Timetable {
    pub fn new(steps: usize) -> Timetable {
        Timetable { end: vec![Span::ZERO; steps] }
    }

    /// Returns the earliest start of a step whose needs have ends.
    pub fn ready(&self, block: &Block, step: StepIx, strategy: &Strategy, before: Span) -> Span {
        if *strategy == Strategy::Sequential {
            return before;
        }
        let of = block.step(step);
        let ends: Vec<Span> = of.needs.iter().map(|need| self.end[need.0 as usize]).collect();
        match of.needs_first {
            Some(first) => nth(&ends, first),
            None => ends.into_iter().fold(Span::ZERO, Span::max),
        }
    }

    /// Returns when the block ends: with its last step, or with the success of the first few.
    pub fn whole(&self, block: &Block, first: Option<u32>) -> Span {
        let own = self.end.iter().zip(&block.steps).filter(|(_, step)| !step.is_handler);
        let ends: Vec<Span> = own.map(|(end, _)| *end).collect();
        match first {
            Some(first) => nth(&ends, first),
            None => ends.into_iter().fold(Span::ZERO, Span::max),
        }
    }
}

/// Returns the values of which as many are not greater.
fn nth(ends: &[Span], first: u32) -> Span {
    let sorted = |of: fn(Span) -> u64| {
        let mut values: Vec<u64> = ends.iter().map(|end| of(*end)).collect();
        values.sort_unstable();
        values.get((first.max(1) as usize - 1).min(values.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    Span::new(sorted(Span::low), sorted(Span::likely), sorted(Span::high))
}
