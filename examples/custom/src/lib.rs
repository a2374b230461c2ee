//! Extensions of a library user: a balancer for pools, a middleware around every attempt, and a strategy for workflows.
//! `tests/custom.rs` shows them at work.

mod shortest;
mod stamp;
mod sticky;

pub use shortest::ShortestFirst;
pub use stamp::Stamp;
pub use sticky::Sticky;
