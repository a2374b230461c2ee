//! An answer of a provider and its settlement.

use std::sync::Arc;

use crate::transport::Response;
use kapelle_core::Money;

use crate::{
    answer::{Bound, Usage},
    money::{Hold, Outcome, ReservationId},
    price::Price,
    providers::{
        Server, bridge,
        dialect::{Events, Seen, Whole},
        format::{estimated, hides_thinking, used},
    },
    rate::Permit,
    wire::ModelCall,
};

/// Tokens that a provider may have written between the last piece that arrived and the moment it noticed the closed
/// connection.
const UNSEEN_TOKENS: u64 = 512;

/// An answer in progress, with the data for its settlement.
pub(crate) struct UpstreamResponse {
    pub(crate) server: Arc<Server>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) price: Price,
    pub(crate) price_known: bool,
    pub(crate) answer: UpstreamBody,
    /// Whether the provider has only chat, so that its answer is converted to the caller's format.
    pub(crate) bridged: bool,
    pub(crate) permit: Permit,
    /// Reserved tokens.
    pub(crate) bound: Bound,
    pub(crate) hold: Option<Hold>,
}

/// Body of an answer.
pub(crate) enum UpstreamBody {
    /// The whole body.
    Whole(Whole),
    /// The head; events follow.
    Stream(Response),
    /// The body was taken out.
    Taken,
}

impl UpstreamResponse {
    /// Returns the reservation of the call until it is settled.
    pub(crate) fn reservation(&self) -> Option<ReservationId> {
        self.hold.as_ref().map(|hold| hold.reservation)
    }

    /// Makes a reader for the stream of the answer.
    pub(crate) fn events(&self, call: &ModelCall) -> Box<dyn Events> {
        match self.bridged {
            false => self.server.dialect.events(call),
            true => bridge::events(call, &*self.server.dialect),
        }
    }

    /// Settles the call at its usage. Returns the usage and its cost. A count above the reservation is charged at the
    /// reservation, and the call is marked as unknown. `appended`: the answer goes to the log next.
    pub(crate) fn settle(&mut self, usage: &Usage, appended: bool) -> (Usage, Money) {
        let (within, beyond) = usage.within(self.bound);
        let mut cost = self.price.cost(&within);
        self.server.rate.correct(self.permit, &self.model, within.input.saturating_add(within.output));
        if beyond {
            warn_beyond((&self.provider, &self.model), usage, self.bound);
            cost = self.hold.as_ref().map_or(cost, |hold| hold.worst);
        }
        let outcome = if beyond { Outcome::Unknown } else { Outcome::Cost(cost) };
        match self.hold.take() {
            Some(hold) if appended => hold.settle_answered(outcome, within),
            Some(hold) => hold.settle(outcome, within),
            None => {}
        }
        (within, cost)
    }

    /// Settles a call that was cut before it was counted.
    pub(crate) fn settle_cut(&mut self, call: &ModelCall, seen: &Seen) {
        if let Some(usage) = seen.usage {
            self.settle(&used(call, Some(usage), seen.tokens), false);
            return;
        }
        if let Some(hold) = self.hold.take() {
            settle_cut(hold, call, ((&self.provider, &self.model), self.price, self.bound), seen);
        }
    }

    /// Settles a call that the provider refused after a successful status, before any output.
    pub(crate) fn settle_refused(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.settle(Outcome::Free, Usage::default());
        }
    }
}

/// Logs that a provider counted more tokens than the call can have.
fn warn_beyond((provider, model): (&str, &str), usage: &Usage, bound: Bound) {
    let (input, output) = (usage.input, usage.output);
    tracing::warn!(
        provider,
        model,
        input,
        output,
        reserved_input = bound.input,
        reserved_output = bound.output,
        "the provider counts more tokens than the request and its longest answer can have: the call is charged at its \
         reservation and marked as unknown"
    );
}

/// Settles a call that was cut after part of its answer had arrived. The input is estimated as for a stream that was
/// read to its end and not counted. The output is charged with what the provider may have written before it noticed the
/// cut; a model that thinks unseen may have used the whole length of its answer.
pub(crate) fn settle_cut(
    hold: Hold,
    call: &ModelCall,
    ((provider, model), price, bound): ((&str, &str), Price, Bound),
    seen: &Seen,
) {
    let usage = match seen.usage {
        Some(usage) => used(call, Some(usage), seen.tokens),
        None if hides_thinking(model) => estimated(call, bound.output),
        None => estimated(call, seen.tokens.saturating_add(UNSEEN_TOKENS).min(bound.output)),
    };
    let (within, beyond) = usage.within(bound);
    if beyond && seen.usage.is_some() {
        warn_beyond((provider, model), &usage, bound);
        return hold.settle(Outcome::Unknown, within);
    }
    let cost = price.cost(&within).min(hold.worst);
    hold.settle(Outcome::Cost(cost), within);
}
