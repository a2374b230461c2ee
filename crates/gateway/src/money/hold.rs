//! A reservation that cannot be forgotten.

use std::sync::Arc;

use kapelle_core::Money;

use super::{Ledger, Outcome, ReservationId};

/// A reservation under way. Dropped without a word, it is charged as unknown: the call may have been sent.
pub(crate) struct Hold {
    ledger: Arc<dyn Ledger>,
    reservation: ReservationId,
    pub(crate) worst: Money,
    settled: bool,
}

impl Hold {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, reservation: ReservationId, worst: Money) -> Hold {
        Hold { ledger, reservation, worst, settled: false }
    }

    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.ledger.settle(self.reservation, outcome);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.settle(self.reservation, Outcome::Unknown);
        }
    }
}
