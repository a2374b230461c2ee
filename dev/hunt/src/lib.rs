//! What tests by seed have in common: random numbers that follow from a seed, many seeds on several threads, those that
//! failed once and are kept, planted bugs that must be caught, and a command line.

mod command;
mod mutants;
mod seeds;

pub use command::main;
pub use kapelle_testkit::rng;
pub use mutants::all_caught;
pub use seeds::{Failure, Study, Tally, hunt, kept, one};
