//! Balancer by number of tasks.

use super::{Balancer, Load};

/// Chooses the member with the fewest tasks; among equals the one that has ended the fewest attempts, then the first.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastLoaded;

impl Balancer for LeastLoaded {
    fn choose(&mut self, members: &[Load]) -> usize {
        let least = members.iter().enumerate().min_by_key(|(number, load)| (load.running, load.done, *number));
        least.map_or(0, |(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However tasks come and go, no member has two more than another when a task is assigned.
        #[test]
        fn nobody_is_given_a_task_while_another_has_less(members in 1usize..10, ends in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
            let mut loads = vec![Load::default(); members];
            for end in ends {
                let chosen = LeastLoaded.choose(&loads);
                prop_assert!(loads.iter().all(|load| load.running >= loads[chosen].running));
                loads[chosen].running += 1;
                let other = end.index(members * 2);
                if other < members && loads[other].running > 0 {
                    loads[other].running -= 1;
                    loads[other].done += 1;
                }
            }
        }
    }
}
