//! Extensions of a library user: a worker, a balancer for pools, a middleware around every attempt, and a strategy for
//! workflows. `tests/custom.rs` shows them at work, and `docs/guides/extending.md` explains them.

mod price;
mod shortest;
mod stamp;
mod sticky;

pub use price::PriceList;
pub use shortest::ShortestFirst;
pub use stamp::Stamp;
pub use sticky::Sticky;
