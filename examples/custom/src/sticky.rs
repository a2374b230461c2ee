//! A balancer: the member that was used last is used again while its load is low.

use kapelle::{Balancer, Load};

/// Stays with one member, whose caches are warm, until it has more running tasks than its limit.
#[derive(Debug, Clone, Copy)]
pub struct Sticky {
    /// Limit of running tasks before another member is tried.
    pub most: u32,
    last: usize,
}

impl Sticky {
    /// Stays with a member until it has that many running tasks.
    #[must_use]
    pub fn new(most: u32) -> Sticky {
        Sticky { most, last: 0 }
    }
}

impl Balancer for Sticky {
    fn choose(&mut self, members: &[Load]) -> usize {
        if members.get(self.last).is_none_or(|load| load.running >= self.most) {
            let idle = members.iter().enumerate().min_by_key(|(number, load)| (load.running, *number));
            self.last = idle.map_or(0, |(number, _)| number);
        }
        self.last
    }
}
