//! An answer on its way, and what is settled after it.

use std::sync::Arc;

use kapelle_core::Money;
use reqwest::Response;

use crate::{
    answer::Usage,
    money::{Hold, Outcome, ReservationId},
    price::Price,
    providers::{
        Server, bridge,
        dialect::{Events, Seen, Whole},
        format::hides_thinking,
    },
    rate::Permit,
    wire::ModelCall,
};

/// What a provider may have written between the last piece that came and the moment it noticed that nobody reads.
const UNSEEN_TOKENS: u64 = 512;

/// An answer under way, with what is to be settled after it.
pub(crate) struct Opened {
    pub(crate) server: Arc<Server>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) price: Price,
    pub(crate) price_known: bool,
    pub(crate) answer: Answered,
    /// The provider has only chat: what it sends becomes a response.
    pub(crate) bridged: bool,
    pub(crate) permit: Permit,
    pub(crate) hold: Option<Hold>,
}

/// The answer.
pub(crate) enum Answered {
    /// All of it.
    Whole(Whole),
    /// Its head; the events follow.
    Stream(Response),
    /// It was taken out.
    Taken,
}

impl Opened {
    /// The reservation of the call, until it is settled.
    pub(crate) fn reservation(&self) -> Option<ReservationId> {
        self.hold.as_ref().map(|hold| hold.reservation)
    }

    /// A reader for the stream of the answer.
    pub(crate) fn events(&self, call: &ModelCall) -> Box<dyn Events> {
        match self.bridged {
            false => self.server.dialect.events(call),
            // A chat request can be made of it: it was, before it was sent.
            true => match bridge::chat(call) {
                Ok(chat) => Box::new(bridge::ResponsePieces::new(self.server.dialect.events(&chat), call)),
                Err(_) => self.server.dialect.events(call),
            },
        }
    }

    /// Settles the call at what was used, and says what that costs. `appended`: its answer goes to the log next.
    pub(crate) fn settle(&mut self, usage: &Usage, appended: bool) -> Money {
        let cost = self.price.cost(usage);
        self.server.rate.correct(self.permit, usage.input.saturating_add(usage.output));
        match self.hold.take() {
            Some(hold) if appended => hold.settle_answered(cost, *usage),
            Some(hold) => hold.settle(Outcome::Cost(cost), *usage),
            None => {}
        }
        cost
    }

    /// Settles a call that was cut before it was counted. What came is counted on the safe side, with what the
    /// provider may have written before it noticed; a model that thinks may have thought anything, so it is charged
    /// at its reservation.
    pub(crate) fn settle_cut(&mut self, call: &ModelCall, seen: &Seen) {
        if let Some(usage) = &seen.usage {
            self.settle(usage, false);
            return;
        }
        if let Some(hold) = self.hold.take() {
            settle_cut(hold, call, (&self.model, self.price), seen);
        }
    }
}

/// Settles a call of which that much had come when it was cut.
pub(crate) fn settle_cut(hold: Hold, call: &ModelCall, (model, price): (&str, Price), seen: &Seen) {
    if let Some(usage) = &seen.usage {
        return hold.settle(Outcome::Cost(price.cost(usage)), *usage);
    }
    if hides_thinking(model) {
        return hold.settle(Outcome::Unknown, Usage::default());
    }
    let output = seen.tokens.saturating_add(UNSEEN_TOKENS);
    let cost = price.worst(call.input_bound(), output).min(hold.worst);
    hold.settle(Outcome::Cost(cost), Usage { input: call.input_bound(), output, ..Usage::default() });
}
