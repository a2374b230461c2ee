//! Estimates of runs that have not started: time, money, tokens and calls, from earlier runs and from guesses.
//!
//! [`estimate`] is pure: the application reads the [`Facts`]. Each step says where its numbers come from ([`Source`]).

mod chance;
mod facts;
mod history;
mod limits;
mod paths;
mod span;
mod walk;

pub use facts::{Facts, ModelFacts, Sample};
pub use history::{History, Row, pattern};
pub use limits::{Case, Limit, LimitOf, Parked};
pub use span::{Counts, Expected, Span};
pub use walk::{Estimate, Source, StepEstimate, estimate};

#[cfg(test)]
mod tests;
