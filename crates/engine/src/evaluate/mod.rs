//! Evaluation of a workflow's expressions: conditions, inputs, lists and outputs.
//!
//! An evaluation carries ids, not values. It runs on the loop when every value it needs is loaded and small, and on a
//! pool otherwise, so that the time of a turn does not grow with user data.

mod begin;
mod bindings;
mod close;
mod ending;
mod evaluation;
mod value;

pub use ending::Start;
pub use evaluation::{Evaluated, Evaluation, Items, List};
pub(crate) use value::BYTES_MAX;
pub use value::{Resolve, Show, TaskValue};
