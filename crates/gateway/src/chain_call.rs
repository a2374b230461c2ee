//! One call over the links of a chain: order, money, rate, circuit breakers and the report of each link.

use std::{sync::Arc, time::Duration};

use kapelle_core::{Category, Money, worker::TextSink};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    access::Grant,
    answer::{Bound, Usage},
    circuit_breakers::CircuitBreaker,
    config::Link,
    gateway::{Gateway, Limits},
    money::{Hold, Ledger, NoMoney, Order, Outcome},
    price::Price,
    providers::{
        Fault, FaultKind, Server, bridge,
        dialect::Asked,
        gather,
        http::{is_json, request_id},
        told::Told,
    },
    rate::Permit,
    replay::Fingerprint,
    routes::{Chain, Routes},
    upstream_response::{UpstreamBody, UpstreamResponse, settle_cut},
    wire::{Feature, ModelCall, Operation},
};

/// Smallest answer worth buying, in tokens. A call that can afford less is refused.
const SMALLEST_ANSWER: u64 = 256;

/// One call in progress.
pub(crate) struct ChainCall<'a> {
    pub(crate) call: &'a ModelCall,
    pub(crate) chain: &'a Chain,
    pub(crate) routes: &'a Routes,
    /// Owner of the circuit breakers, the promised calls and the clock.
    pub(crate) gateway: &'a Gateway,
    /// The ledger that is charged.
    pub(crate) ledger: &'a Arc<dyn Ledger>,
    /// Payer and rights of the caller.
    pub(crate) grant: &'a Grant,
    pub(crate) limits: &'a Limits,
    /// Deadline of the whole call.
    pub(crate) until: Instant,
    /// Identity of the request, without headers.
    pub(crate) fingerprint: Fingerprint,
    /// Sink for the text as it arrives, for a caller that wants the whole answer.
    pub(crate) watcher: Option<&'a dyn TextSink>,
}

/// End of a chain call that did not fail.
pub(crate) enum End {
    /// A model answers. The faults are those of the links before it.
    Open(Box<UpstreamResponse>, Vec<Fault>),
    /// The chain reached the offline link of this provider.
    Offline(String, Vec<Fault>),
}

impl ChainCall<'_> {
    /// Calls the links in order until one answers.
    pub(crate) async fn run(&self) -> Result<End, Vec<Fault>> {
        let links = self.chain.order();
        let mut left = links.iter().filter(|link| self.routes.has_key(link)).count().max(1);
        let mut faults: Vec<Fault> = Vec::new();
        for link in links {
            match link {
                Link::Offline { provider } => {
                    if faults.iter().all(|fault| fault.may_end_offline(self.limits.last_attempt)) {
                        return Ok(End::Offline(provider.clone(), faults));
                    }
                    break;
                }
                Link::Model { provider, model } => {
                    // The remaining time is divided evenly among the remaining models.
                    let remaining = self.until.saturating_duration_since(Instant::now());
                    let share = remaining / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
                    match self.ask(provider, model, Instant::now() + share).await {
                        Ok(opened) => return Ok(End::Open(Box::new(opened), faults)),
                        Err(fault) => {
                            left = left.saturating_sub(usize::from(fault.hop.called)).max(1);
                            faults.push(fault);
                        }
                    }
                }
            }
            if !self.routes.fallback || self.limits.no_fallback {
                break;
            }
        }
        Err(faults)
    }

    async fn ask(&self, provider: &str, model: &str, until: Instant) -> Result<UpstreamResponse, Fault> {
        let link = format!("{provider}/{model}");
        let (server, chat) = self.usable(&link, provider)?;
        let (price, price_known) = self.routes.prices.find(provider, model);
        // Spoken tokens cost many times what written ones do: the default price would be too low.
        let spoken = self.call.needs().has(Feature::Audio);
        if !price_known && (self.grant.known_price_only || spoken) {
            let why = format!("the price of this model is not known: give one under `prices`, as `{link}`");
            return Err(Fault::unsent(&link, FaultKind::Request, Category::Budget, &why));
        }
        let breaker = self.breaker(&link)?;
        let longest = self.longest(&link, price)?;
        let call = chat.as_ref().unwrap_or(self.call);
        let watched = self.watcher.is_some() && server.counts_streams();
        let limit = server.limit_field(self.chain.limit_field);
        let ask = Asked { model, longest, limit, stream: call.stream || watched, count: server.counts_streams() };
        let bound = self.bound(longest);
        // Built before money is reserved: a request that the format cannot express costs nothing.
        let body = server.body(call, &ask)?;
        let permit = self.rate_permit((&link, model), &server, longest, until).await?;
        let mut hold = match self.reserve((provider, model), price, bound, until).await {
            Ok(hold) => hold,
            Err(fault) => {
                server.rate.give_back(permit, model);
                return Err(fault);
            }
        };
        match self.send(&server, (call, body), &ask, until).await {
            Ok((answer, request_id)) => {
                hold.request_id = request_id;
                breaker.well(self.gateway.clock.now_ms());
                let (provider, model) = (provider.to_owned(), model.to_owned());
                let bridged = chat.is_some();
                Ok(UpstreamResponse {
                    server,
                    provider,
                    model,
                    price,
                    price_known,
                    answer,
                    bridged,
                    permit,
                    bound,
                    hold: Some(hold),
                })
            }
            Err(fault) => {
                if let (Category::RateLimited, Some(wait)) = (fault.error.category, fault.error.retry_after) {
                    server.rate.off(self.gateway.clock.now_ms(), model, wait);
                }
                let now_ms = self.gateway.clock.now_ms();
                if fault.passes() {
                    breaker.failed(now_ms, fault.error.retry_after);
                } else if fault.hop.called {
                    breaker.refused(now_ms);
                }
                breaker.told(now_ms, (self.grant.payer.tenant, fault.error.category), &fault.hop.reason);
                match &fault.seen {
                    Some(seen) => settle_cut(hold, call, ((provider, model), price, bound), seen),
                    None if fault.unsettled => hold.settle(Outcome::Unknown, Usage::default()),
                    None => hold.settle(Outcome::Free, Usage::default()),
                }
                if !fault.hop.called {
                    server.rate.give_back(permit, model);
                }
                Err(fault)
            }
        }
    }

    /// Returns the circuit breaker of a link, or a passing fault while it is open.
    fn breaker(&self, link: &str) -> Result<Arc<CircuitBreaker>, Fault> {
        let breaker = self.gateway.breakers.of(link);
        breaker.ask(self.gateway.clock.now_ms()).map_err(|wait| {
            let why = format!("not called for another {} ms after it failed", wait.0);
            let mut fault = Fault::unsent(link, FaultKind::Passing, Category::Unavailable, &why);
            fault.error.retry_after = Some(wait);
            fault
        })?;
        Ok(breaker)
    }

    /// Returns the server if it has a key and supports the request. A server without the operation also gets
    /// the equivalent chat request.
    fn usable(&self, link: &str, provider: &str) -> Result<(Arc<Server>, Option<ModelCall>), Fault> {
        let Some(server) = self.routes.servers.get(provider) else {
            return Err(Fault::unsent(link, FaultKind::Request, Category::Internal, "the provider is gone"));
        };
        if let Some(reason) = server.key_missing() {
            return Err(Fault::unsent(link, FaultKind::Key, Category::ModelRequired, &reason));
        }
        if let Some((field, message)) = server.withheld(self.call) {
            let told = Told {
                code: Some("unknown_parameter".to_owned()),
                param: Some(field.to_owned()),
                ..Told::ours(400, message)
            };
            let fault = Fault::unsent(link, FaultKind::Request, Category::InvalidInput, &told.message);
            return Err(fault.told(told));
        }
        let unable = |why: String| {
            let why = format!("it cannot do what is asked: {why}");
            Fault::unsent(link, FaultKind::Request, Category::Provider, &why).unsupported()
        };
        let features = server.features;
        let chat = bridge::needed(self.call.operation, features).then(|| bridge::chat(self.call));
        let chat = chat.transpose().map_err(unable)?;
        let missing = features.missing(chat.as_ref().unwrap_or(self.call).needs());
        if !missing.is_empty() {
            let names: Vec<&str> = missing.into_iter().map(Feature::as_str).collect();
            return Err(unable(names.join(", ")));
        }
        Ok((Arc::clone(server), chat))
    }

    /// Returns the answer's length limit: the caller's or the alias's, cut to what the money buys.
    fn longest(&self, link: &str, price: Price) -> Result<Option<u64>, Fault> {
        if self.call.operation == Operation::Embeddings {
            return Ok(None);
        }
        let wanted = self.call.longest_answer().unwrap_or(u64::from(self.chain.max_output_tokens));
        affordable(link, price, self.call.input_estimate(), wanted, self.limits.max_cost).map(Some)
    }

    /// Returns the largest number of tokens that the call can use.
    fn bound(&self, longest: Option<u64>) -> Bound {
        let answers = longest.unwrap_or(0).saturating_mul(self.call.choices());
        Bound { input: self.call.input_bound(), output: answers.saturating_add(self.call.predicted()) }
    }

    async fn rate_permit(
        &self,
        (link, model): (&str, &str),
        server: &Arc<Server>,
        longest: Option<u64>,
        until: Instant,
    ) -> Result<Permit, Fault> {
        let answers = longest.unwrap_or(0).saturating_mul(self.call.choices());
        let tokens = self.call.input_estimate().saturating_add(answers);
        let task = self.grant.payer.task();
        let mut promise = task.and_then(|task| self.gateway.promises.take(task, server, model));
        loop {
            let now_ms = self.gateway.clock.now_ms();
            let taken = match promise.take() {
                Some(promise) => server.rate.redeem(promise, now_ms, (model, tokens)),
                None => server.rate.take(now_ms, (model, tokens)),
            };
            let wait = match taken {
                Ok(permit) => return Ok(permit),
                Err(wait) => wait,
            };
            let span = Duration::from_millis(wait.0);
            if self.grant.hold || Instant::now() + span >= until {
                let why = format!("the provider's rate is used up for another {} ms", wait.0);
                let mut fault = Fault::unsent(link, FaultKind::Passing, Category::RateLimited, &why);
                fault.error.retry_after = Some(wait);
                return Err(fault);
            }
            sleep(span).await;
        }
    }

    async fn reserve(
        &self,
        (provider, model): (&str, &str),
        price: Price,
        bound: Bound,
        until: Instant,
    ) -> Result<Hold, Fault> {
        let link = &format!("{provider}/{model}");
        let worst = price.worst(bound.input, bound.output);
        let order = Order {
            worst,
            provider: provider.to_owned(),
            model: model.to_owned(),
            operation: self.call.operation.as_str(),
            fingerprint: self.fingerprint,
        };
        match timeout_at(until, self.ledger.reserve(&self.grant.payer, order)).await {
            Ok(Ok(reservation)) => Ok(Hold::new(Arc::clone(self.ledger), reservation, worst)),
            Ok(Err(why @ NoMoney::Broken(_))) => {
                Err(Fault::unsent(link, FaultKind::Passing, Category::Internal, &why.to_string()))
            }
            Ok(Err(why @ NoMoney::Over)) => {
                Err(Fault::unsent(link, FaultKind::Request, Category::LeaseLost, &why.to_string()))
            }
            Ok(Err(why)) => {
                Err(Fault::unsent(link, FaultKind::Request, Category::Budget, &why.to_string()).short_of(why))
            }
            Err(_) => {
                let why = format!("waited in vain for {worst} that calls under way have reserved");
                Err(Fault::unsent(link, FaultKind::Passing, Category::Timeout, &why))
            }
        }
    }

    /// Sends the request. Returns the answer and the provider's request id.
    async fn send(
        &self,
        server: &Server,
        (call, body): (&ModelCall, Vec<u8>),
        ask: &Asked<'_>,
        until: Instant,
    ) -> Result<(UpstreamBody, Option<String>), Fault> {
        let now = Instant::now();
        let link = format!("{}/{}", server.name(), ask.model);
        let sent = (call.operation, body);
        let response = if call.stream {
            // The head must arrive within this link's share; the body may use all the remaining time.
            let all = self.until.saturating_duration_since(now);
            let late = |_| Fault::sent(&link, FaultKind::Passing, Category::Timeout, "no answer in time").unsettled();
            timeout_at(until, server.open(sent, ask, all)).await.map_err(late)??
        } else {
            server.open(sent, ask, until.saturating_duration_since(now)).await?
        };
        let id = request_id(response.headers());
        // A server may answer as a whole what was to be a stream.
        let streams = ask.stream && !is_json(response.headers());
        if call.stream && streams {
            return Ok((UpstreamBody::Stream(response), id));
        }
        let whole = match self.watcher.filter(|_| streams) {
            Some(watcher) => gather::whole(server, (&link, call), response, watcher).await?,
            None => server.read(ask.model, call.operation, response).await?,
        };
        if let Some(watcher) = self.watcher.filter(|_| !streams) {
            gather::show(&whole, watcher);
        }
        if call.operation == self.call.operation {
            return Ok((UpstreamBody::Whole(whole), id));
        }
        let made = bridge::whole(self.call, whole);
        let broken = |why: String| Fault::sent(&link, FaultKind::Passing, Category::Provider, &why).unsettled();
        made.map(|whole| (UpstreamBody::Whole(whole), id)).map_err(broken)
    }
}

/// Returns the length of the answer that the money buys.
fn affordable(link: &str, price: Price, input: u64, wanted: u64, limit: Option<Money>) -> Result<u64, Fault> {
    let Some(limit) = limit else { return Ok(wanted) };
    let price = price.at(input);
    let left = limit.0.saturating_sub(price.of(input, 0).0);
    let buys = left.checked_div(price.output).unwrap_or(if limit >= price.of(input, 0) { u64::MAX } else { 0 });
    if buys < SMALLEST_ANSWER.min(wanted) {
        let message = format!(
            "about {input} tokens of input and an answer cost up to {}, and the limit is {limit}: raise max_cost, \
             shorten the input, or give the model's price under `prices`",
            price.of(input, wanted)
        );
        return Err(Fault::unsent(link, FaultKind::Request, Category::Budget, &message));
    }
    Ok(buys.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Long;

    #[test]
    fn an_answer_is_cut_to_what_the_money_buys() {
        let price = Price { input: 100, output: 1_000, ..Price::FREE };
        let buys = |limit: u64| affordable("p/m", price, 1_000, 4_096, Some(Money(limit)));
        assert_eq!(buys(10_000_000).unwrap(), 4_096);
        assert_eq!(buys(1_100_000).unwrap(), 1_000);
        let fault = buys(200_000).unwrap_err();
        assert_eq!(fault.error.category, Category::Budget);
        assert!(fault.error.message.contains("the limit is $0.0002"), "{}", fault.error.message);
    }

    #[test]
    fn the_answer_to_a_long_prompt_is_cut_to_what_its_price_buys() {
        let long = Long { above: 999, input: 200, output: 2_000, cached: 0, cache_write: 0 };
        let price = Price { input: 100, output: 1_000, long: Some(long), ..Price::FREE };
        let buys = |input: u64| affordable("p/m", price, input, 4_096, Some(Money(1_200_000))).unwrap();
        assert_eq!((buys(999), buys(1_000)), (1_100, 500));
    }

    #[test]
    fn a_free_model_is_always_affordable() {
        assert_eq!(affordable("p/m", Price::FREE, 1_000, 4_096, Some(Money(0))).unwrap(), 4_096);
    }
}
