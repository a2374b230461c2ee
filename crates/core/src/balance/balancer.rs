//! What a balancer is, and those that ship.

use super::{Fastest, LeastLoaded, RoundRobin};

/// What is known of a member of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Tasks it works on.
    pub running: u32,
    /// Attempts it has ended.
    pub done: u64,
    /// How long an attempt of it takes, a moving mean in microseconds; none before the first has ended.
    pub mean_us: Option<u64>,
}

/// Chooses the member of a pool that gets the next task. It must depend on nothing but what it is told and has chosen
/// before: no clock, no randomness.
pub trait Balancer: Send {
    /// The number of a member. `members` is never empty; a number beyond its end means the last one.
    fn choose(&mut self, members: &[Load]) -> usize;
}

/// The balancer that ships under that name.
#[must_use]
pub fn built_in(name: &str) -> Option<Box<dyn Balancer>> {
    match name {
        "round_robin" => Some(Box::<RoundRobin>::default()),
        "least_loaded" => Some(Box::<LeastLoaded>::default()),
        "fastest" => Some(Box::<Fastest>::default()),
        _ => None,
    }
}
