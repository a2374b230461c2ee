//! `code_improvement`: a report on a source tree.

mod code_improvement;
mod duplicates;
mod functions;
mod lines;
mod survey;

pub use code_improvement::CodeImprovement;
