//! What a user of the library can bring along: a balancer of their own for pools, and a layer around every attempt.
//! `tests/custom.rs` shows both at work.

mod stamp;
mod sticky;

pub use stamp::Stamp;
pub use sticky::Sticky;
