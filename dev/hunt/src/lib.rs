//! Shared parts of tests by seed. They are random numbers that follow from a seed, many seeds on several threads, kept
//! seeds that once failed, planted bugs that must be caught, and a command line.

mod command;
mod mutants;
mod seeds;

pub use command::main;
pub use kapelle_testkit::rng;
pub use mutants::all_caught;
pub use seeds::{Failure, Study, Tally, hunt, kept, one};
