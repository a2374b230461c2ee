//! Balancer in turn.

use super::{Balancer, Load};

/// Chooses the members in turn, whatever their load.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoundRobin {
    next: usize,
}

impl Balancer for RoundRobin {
    fn choose(&mut self, members: &[Load]) -> usize {
        let chosen = self.next % members.len();
        self.next = chosen + 1;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ten_thousand_tasks_are_spread_evenly(members in 1usize..20, loads in any::<u32>()) {
            let mut balancer = RoundRobin::default();
            let mut given = vec![0u32; members];
            let loads: Vec<Load> = (0..members).map(|n| Load { running: loads ^ n as u32, ..Load::default() }).collect();
            for _ in 0..10_000 { given[balancer.choose(&loads)] += 1; }
            prop_assert!(given.iter().max().unwrap() - given.iter().min().unwrap() <= 1);
        }
    }
}
