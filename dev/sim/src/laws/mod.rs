//! Laws that hold at every commit, written slowly and without code of what they check.
//!
//! Their numbers: I1 acknowledged work exists, I2 one accepted completion with the last lease, I3 terminal states stay,
//! I4 one live lease, I5 cancelled or complete, I6 one row per step and one join, I9 one task per idempotency key, I10
//! everything drains.

mod begin;
mod commit;
mod mirror;
mod model;
mod order;
mod output;
mod run;
pub mod signals;
mod task;
mod tell;
mod verdict;

pub use commit::{after, before};
pub use model::Model;
pub use run::folded;
