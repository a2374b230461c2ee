//! Workflow definitions: read from YAML or JSON, checked as a whole, and kept in a form that the run machine can index.
//!
//! [`Definition::parse`] reports every problem it finds, each with its line and column. `keys` holds the tables of
//! the format, from which both the reader and the [`schema`] for editors are made.

mod block;
pub mod drawing;
mod fields;
pub mod graph;
mod join;
mod keys;
mod model;
mod needs;
mod parse;
mod references;
pub mod schema;
mod step;
mod triggers;
mod wait;

pub use crate::yaml::{Problem, Problems, nearest};
pub use model::{
    Action, Block, BlockIx, Cache, Defaults, Definition, ForEach, OnCompleted, OnError, OnItemError, OnSchedule,
    OnTimeout, Repeat, RunIf, StepDef, StepIx, Strategy, Timer, Wait, WaitFor,
};

/// Size limit of a file, in bytes.
pub const FILE_MAX: usize = 16 << 20;
/// Limit of steps in one definition, at any depth.
pub const STEPS_MAX: usize = 100_000;
