//! Balancer in proportion to speed.

use super::{Balancer, Load};

/// Distributes tasks in proportion to speed. Each member advances by the duration of its attempts, and the one furthest
/// behind is next (stride scheduling, Waldspurger and Weihl 1995). A slow member still gets a few tasks, so that it is
/// noticed when it becomes fast; an unmeasured member counts as the fastest.
#[derive(Debug, Clone, Default)]
pub struct Fastest {
    passes: Vec<u64>,
}

impl Balancer for Fastest {
    fn choose(&mut self, members: &[Load]) -> usize {
        // A newcomer begins at the position of the member furthest behind, not at zero.
        let behind = self.passes.iter().copied().min().unwrap_or(0);
        self.passes.resize(members.len(), behind);
        let known = members.iter().filter_map(|load| load.mean_us).min().unwrap_or(1);
        let hindmost = self.passes.iter().enumerate().min_by_key(|(number, pass)| (**pass, *number));
        let chosen = hindmost.map_or(0, |(number, _)| number);
        let stride = members[chosen].mean_us.unwrap_or(known).max(1);
        self.passes[chosen] = self.passes[chosen].saturating_add(stride);
        if behind > u64::MAX / 2 {
            self.passes.iter_mut().for_each(|pass| *pass -= behind);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_member_five_times_slower_gets_at_most_a_quarter(members in 2usize..8, slow in any::<prop::sample::Index>(), mean in 1u64..1_000_000) {
            let slow = slow.index(members);
            let mut loads = vec![Load::default(); members];
            let mut given = vec![0u32; members];
            let mut balancer = Fastest::default();
            for _ in 0..10_000 {
                let chosen = balancer.choose(&loads);
                given[chosen] += 1;
                loads[chosen].mean_us = Some(if chosen == slow { 5 * mean } else { mean });
            }
            prop_assert!(given[slow] > 0 && given[slow] <= 2_500, "{:?}", given);
        }
    }

    #[test]
    fn a_member_that_became_fast_is_used_again() {
        let mut balancer = Fastest::default();
        let mut loads =
            [Load { mean_us: Some(10), ..Load::default() }, Load { mean_us: Some(1_000), ..Load::default() }];
        (0..500).for_each(|_| {
            balancer.choose(&loads);
        });
        loads[1].mean_us = Some(10);
        let second = (0..1_000).filter(|_| balancer.choose(&loads) == 1).count();
        assert!(second > 400, "{second}");
    }
}
