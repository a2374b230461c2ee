//! Conditions, inputs, lists and outputs: what a workflow's expressions give.
//!
//! An evaluation carries ids, not values. It is done on the loop when every value it needs is at hand and small, and on
//! a thread of its own pool otherwise, so that no turn takes time in proportion to somebody's data.

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
