//! A spending limit: the highest cost is reserved before a call is sent, and settled when its price is known.

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// A spending limit with its spent and reserved amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Upper limit of spent and reserved together.
    #[serde(rename = "limit_nanousd")]
    pub limit: Money,
    /// Amount paid.
    #[serde(rename = "spent_nanousd")]
    pub spent: Money,
    /// Amount reserved for calls that have not been settled.
    #[serde(rename = "reserved_nanousd")]
    pub reserved: Money,
}

/// Reason why a call does not fit. Shown to people unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotFit {
    /// It would fit if calls in flight cost less than their reservations: wait.
    #[error("waits for {0} that are reserved by calls in progress")]
    Later(Money),
    /// It cannot fit unless the budget is raised: park.
    #[error("needs up to {needs}; {left} left")]
    Never {
        /// Highest cost of the call.
        needs: Money,
        /// Amount that is neither spent nor reserved.
        left: Money,
    },
}

impl Budget {
    /// Makes an unused budget.
    #[must_use]
    pub fn of(limit: Money) -> Budget {
        Budget { limit, spent: Money::ZERO, reserved: Money::ZERO }
    }

    /// Reserves the highest cost of a call.
    ///
    /// # Errors
    /// [`DoesNotFit`]; nothing is then reserved.
    pub fn reserve(&mut self, worst: Money) -> Result<(), DoesNotFit> {
        let left = self.limit.checked_sub(self.spent).unwrap_or(Money::ZERO);
        let free = left.checked_sub(self.reserved).unwrap_or(Money::ZERO);
        if worst > left {
            return Err(DoesNotFit::Never { needs: worst, left });
        }
        if worst > free {
            return Err(DoesNotFit::Later(self.reserved));
        }
        self.reserved = Money(self.reserved.0 + worst.0);
        Ok(())
    }

    /// Replaces a reservation by the cost of the call. A cost above the reservation is charged in full: money that was
    /// paid is never hidden.
    pub fn settle(&mut self, reserved: Money, cost: Money) {
        self.reserved = self.reserved.checked_sub(reserved).unwrap_or(Money::ZERO);
        self.spent = self.spent.checked_add(cost).unwrap_or(Money(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Many calls at once, each settled at or under its reservation: no overspend at any moment.
        #[test]
        fn spend_never_passes_the_limit(limit in 0u64..1_000, calls in prop::collection::vec((0u64..200, 0u64..100), 0..60)) {
            let mut budget = Budget::of(Money(limit));
            let mut under_way = Vec::new();
            for (worst, share) in calls {
                if budget.reserve(Money(worst)).is_ok() { under_way.push((worst, worst * share / 100)); }
                prop_assert!(budget.spent.0 + budget.reserved.0 <= limit);
                if under_way.len() > 3 {
                    let (worst, cost) = under_way.remove(0);
                    budget.settle(Money(worst), Money(cost));
                }
            }
            for (worst, cost) in under_way { budget.settle(Money(worst), Money(cost)); }
            prop_assert!(budget.reserved == Money::ZERO && budget.spent.0 <= limit);
        }
    }

    #[test]
    fn what_does_not_fit_says_whether_to_wait_or_to_park() {
        let mut budget = Budget::of(Money(100));
        budget.reserve(Money(80)).unwrap();
        assert_eq!(budget.reserve(Money(30)), Err(DoesNotFit::Later(Money(80))));
        budget.settle(Money(80), Money(75));
        assert_eq!(budget.reserve(Money(30)), Err(DoesNotFit::Never { needs: Money(30), left: Money(25) }));
        assert_eq!(budget.reserve(Money(25)), Ok(()));
    }
}
