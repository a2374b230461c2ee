//! A reservation that cannot be forgotten.

use std::sync::Arc;

use kapelle_core::Money;

use super::{Ledger, Outcome, ReservationId, Settlement};
use crate::answer::Usage;

/// A reservation in progress. If it is dropped unsettled, it is charged as unknown: the call may have been sent.
pub(crate) struct Hold {
    ledger: Arc<dyn Ledger>,
    pub(crate) reservation: ReservationId,
    /// The provider's id of the call, once it has answered.
    pub(crate) request_id: Option<String>,
    pub(crate) worst: Money,
    settled: bool,
}

impl Hold {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, reservation: ReservationId, worst: Money) -> Hold {
        Hold { ledger, reservation, request_id: None, worst, settled: false }
    }

    pub(crate) fn settle(self, outcome: Outcome, usage: Usage) {
        self.end(Settlement { usage, ..outcome.into() });
    }

    /// Settles a call whose answer is appended to the log next.
    pub(crate) fn settle_answered(self, outcome: Outcome, usage: Usage) {
        self.end(Settlement { usage, appended: true, ..outcome.into() });
    }

    fn end(mut self, settlement: Settlement) {
        self.settled = true;
        let request_id = self.request_id.take();
        self.ledger.settle(self.reservation, Settlement { request_id, ..settlement });
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.settle(self.reservation, Outcome::Unknown.into());
        }
    }
}
