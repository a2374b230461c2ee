//! Workflow definitions: read from YAML or JSON, checked as a whole, and kept in a form that the run machine can index.
//!
//! [`Definition::parse`] reports every problem it finds, each with its line and column. `keys` holds the tables of
//! the format, from which both the reader and the [`schema`] for editors are made.

mod block;
pub mod drawing;
mod fields;
pub mod graph;
mod keys;
mod model;
mod near;
mod needs;
mod node;
mod parse;
mod problem;
mod references;
mod scalar;
pub mod schema;
mod step;
mod yaml;

pub use model::{
    Action, Block, BlockIx, Cache, Defaults, Definition, ForEach, OnCompleted, OnError, OnItemError, OnTimeout, Repeat,
    RunIf, StepDef, StepIx, Strategy, Timer, Wait, WaitFor,
};
pub use near::nearest;
pub use problem::{Problem, Problems};

/// The largest file, in bytes.
pub const FILE_MAX: usize = 16 << 20;
/// The most steps of one definition, at any depth.
pub const STEPS_MAX: usize = 100_000;
