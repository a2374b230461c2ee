//! What a user of the library can bring along: a balancer of their own for pools, a layer around every attempt, and a
//! strategy for workflows. `tests/custom.rs` shows them at work.

mod shortest;
mod stamp;
mod sticky;

pub use shortest::ShortestFirst;
pub use stamp::Stamp;
pub use sticky::Sticky;
