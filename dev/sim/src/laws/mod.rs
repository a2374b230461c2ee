//! What must hold at every commit, spelled out slowly and without sharing code with what it checks.
//!
//! The numbers I1 to I10 are those of the failure catalogue: I1 what was acknowledged exists, I2 one accepted
//! completion with the last lease, I3 terminal states stay, I4 one live lease, I5 cancelled or complete, I6 one row per
//! step and one join, I9 one task per idempotency key, I10 everything drains.

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
