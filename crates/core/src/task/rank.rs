//! The order in which ready tasks are claimed: smaller rank first, then smaller id.

use serde::{Deserialize, Serialize};

use crate::{
    mutant::{Mutant, planted},
    time::{DurationMs, Timestamp},
};

/// Position in the order. Fixed when a task becomes ready, so that an index can keep it.
pub type Rank = i64;

/// Waiting time that one point of priority is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ageing(pub DurationMs);

impl Default for Ageing {
    /// A minute a point: a task of priority 0 is overtaken by those of priority 5 for at most five minutes.
    fn default() -> Ageing {
        Ageing(DurationMs(60_000))
    }
}

/// A value larger than any time stamp until the year 2109, so that without ageing the priority alone decides.
const STRICT: i64 = 1 << 42;

impl Ageing {
    /// No ageing: strict order of priority, with the risk that low priorities wait for ever.
    pub const OFF: Ageing = Ageing(DurationMs::ZERO);

    /// Computes the rank of a task of that priority that became ready at that time.
    #[must_use]
    pub fn rank(self, priority: i16, ready_at: Timestamp) -> Rank {
        let step =
            if self.0 == DurationMs::ZERO { STRICT } else { i64::try_from(self.0.0).unwrap_or(STRICT).min(STRICT) };
        let priority = if planted(Mutant::PriorityInverted) { -priority } else { priority };
        ready_at.0.saturating_sub(i64::from(priority).saturating_mul(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_ageing_1_10_5_run_as_10_5_1() {
        let mut order = [1, 10, 5].map(|p| (Ageing::OFF.rank(p, Timestamp(1_700_000_000_000 - i64::from(p))), p));
        order.sort_unstable();
        assert_eq!(order.map(|(_, p)| p), [10, 5, 1]);
    }

    proptest! {
        /// Bound on waiting: a task is not overtaken by one that became ready later than the ageing allows.
        #[test]
        fn no_task_waits_longer_than_its_lag_in_priority(low in -100i16..=100, high in -100i16..=100, later in 0i64..1_000_000_000) {
            let ageing = Ageing::default();
            let bound = i64::from(high - low).max(0) * 60_000;
            let waiting = ageing.rank(low, Timestamp(1_000));
            let newcomer = ageing.rank(high, Timestamp(1_000 + later));
            if later > bound { prop_assert!(waiting < newcomer); }
        }
    }
}
