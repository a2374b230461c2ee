//! The trait of balancers, and the built-in ones.

use super::{Fastest, LeastLoaded, RoundRobin};

/// Load of a member of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Tasks in progress.
    pub running: u32,
    /// Attempts it has ended.
    pub done: u64,
    /// Moving mean of an attempt's duration in microseconds. `None` until the first attempt has ended.
    pub mean_us: Option<u64>,
}

/// Chooses the member of a pool that gets the next task. It may depend only on its arguments and its earlier choices:
/// no clock, no randomness.
pub trait Balancer: Send {
    /// Returns the number of a member. `members` is never empty; a number beyond its end means the last one.
    fn choose(&mut self, members: &[Load]) -> usize;
}

/// Returns the built-in balancer of that name.
#[must_use]
pub fn built_in(name: &str) -> Option<Box<dyn Balancer>> {
    match name {
        "round_robin" => Some(Box::<RoundRobin>::default()),
        "least_loaded" => Some(Box::<LeastLoaded>::default()),
        "fastest" => Some(Box::<Fastest>::default()),
        _ => None,
    }
}
