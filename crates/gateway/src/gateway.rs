//! The walk over an alias's chain: ask, record, fall back, meter.

use std::{collections::BTreeMap, time::Duration};

use kapelle_core::{Category, Money, TaskError};

use crate::{
    answer::{Answer, Hop, Route},
    config::{ConfigError, GatewayConfig, Kind, Link, MODEL_VARIABLE},
    error::GatewayError,
    price::{Price, Prices},
    providers::{Fault, FaultKind, openai::Openai},
    request::ChatRequest,
    status::{AliasStatus, LinkState, LinkStatus},
};

/// Fewer tokens than this are no answer: the call is refused instead of bought.
const SMALLEST_ANSWER: u64 = 256;

/// What one call may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// For the whole walk; shared out evenly among the models of the chain.
    pub timeout: Duration,
    /// The most the call may cost; the answer's length is cut to what it buys.
    pub max_cost: Option<Money>,
    /// Only the first link may answer.
    pub no_fallback: bool,
    /// The task will not be tried again, so that a passing fault may be answered offline, too.
    pub last_attempt: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { timeout: Duration::from_secs(60), max_cost: None, no_fallback: false, last_attempt: false }
    }
}

struct Chain {
    links: Vec<Link>,
    max_output_tokens: u32,
}

/// The way to every model provider.
pub struct Gateway {
    chains: BTreeMap<String, Chain>,
    providers: BTreeMap<String, Openai>,
    prices: Prices,
    fallback: bool,
}

impl Gateway {
    /// Checks the configuration and reads keys and addresses from the environment. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ConfigError`] that names the key: an unknown provider, an address that is none, a price that is none.
    pub fn new(config: &GatewayConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Gateway, ConfigError> {
        let model = env(MODEL_VARIABLE).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut chains = BTreeMap::new();
        for (alias, links) in config.links(model.as_deref())? {
            let max_output_tokens = config.models.get(&alias).map_or(4_096, |entry| entry.max_output_tokens);
            chains.insert(alias, Chain { links, max_output_tokens });
        }
        let mut providers = BTreeMap::new();
        for (name, provider) in &config.providers {
            if provider.kind == Kind::Openai {
                providers.insert(name.clone(), Openai::new(name, provider, env)?);
            }
        }
        let prices = Prices::with(config.own_prices()?);
        Ok(Gateway { chains, providers, prices, fallback: config.fallback })
    }

    /// Asks the models of the alias in order until one answers.
    ///
    /// A missing or refused key falls to the next link, the offline one included. A passing fault (rate limit,
    /// timeout, 5xx, no connection) falls to the next model, but offline only in the last attempt, so that the task's
    /// retry rules come first. A request that the provider refuses never ends offline.
    ///
    /// # Errors
    /// [`GatewayError`] when no link may answer.
    pub async fn complete(&self, alias: &str, request: &ChatRequest, limits: &Limits) -> Result<Route, GatewayError> {
        let chain = self.chains.get(alias).ok_or_else(|| self.no_such_alias(alias))?;
        let fallback = self.fallback && !limits.no_fallback;
        let asked = chain.links.iter().filter(|link| self.has_key(link)).count().max(1);
        let each = limits.timeout / u32::try_from(asked).unwrap_or(u32::MAX);
        let mut faults: Vec<Fault> = Vec::new();
        for link in &chain.links {
            match link {
                Link::Offline { provider } => {
                    if faults.iter().all(|fault| fault.may_end_offline(limits.last_attempt)) {
                        let hops: Vec<Hop> = faults.into_iter().map(|fault| fault.hop).collect();
                        let reason = Hop::reasons(&hops);
                        return Ok(Route::Offline { provider: provider.clone(), reason, hops });
                    }
                    break;
                }
                Link::Model { provider, model } => {
                    match self.ask((provider, model), chain.max_output_tokens, request, (limits, each)).await {
                        Ok(answer) => return Ok(Route::Answer(after(answer, faults))),
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            if !fallback {
                break;
            }
        }
        Err(give_up(alias, faults))
    }

    async fn ask(
        &self,
        (name, model): (&str, &str),
        max_output_tokens: u32,
        request: &ChatRequest,
        (limits, timeout): (&Limits, Duration),
    ) -> Result<Answer, Fault> {
        let link = format!("{name}/{model}");
        let Some(provider) = self.providers.get(name) else {
            return Err(Fault::unsent(&link, FaultKind::Request, Category::Internal, "the provider is gone"));
        };
        if let Some(reason) = provider.key_missing() {
            return Err(Fault::unsent(&link, FaultKind::Key, Category::ModelRequired, &reason));
        }
        let (price, price_known) = self.prices.find(name, model);
        let mut body = request.clone();
        let wanted = request.max_tokens.unwrap_or(max_output_tokens);
        body.max_tokens = Some(affordable(&link, price, request.input_tokens(), wanted, limits.max_cost)?);
        let reply = provider.chat(model, &body, timeout).await?;
        let cost = price.of(reply.usage.input, reply.usage.output);
        Ok(Answer {
            content: reply.content,
            finish: reply.finish,
            provider: name.to_owned(),
            model: reply.model,
            usage: reply.usage,
            cost,
            price_known,
            calls: 1,
            degraded: None,
            hops: Vec::new(),
        })
    }

    fn has_key(&self, link: &Link) -> bool {
        match link {
            Link::Model { provider, .. } => self.providers.get(provider).is_some_and(|p| p.key_missing().is_none()),
            Link::Offline { .. } => false,
        }
    }

    fn no_such_alias(&self, alias: &str) -> GatewayError {
        let known: Vec<&str> = self.chains.keys().map(String::as_str).collect();
        let message = format!("there is no model alias `{alias}`; there are: {}", known.join(", "));
        GatewayError::plain(TaskError::new(Category::ModelRequired, message))
    }

    /// Whether that alias exists.
    #[must_use]
    pub fn knows(&self, alias: &str) -> bool {
        self.chains.contains_key(alias)
    }

    /// What stands behind each alias now. Nothing is sent.
    #[must_use]
    pub fn status(&self) -> Vec<AliasStatus> {
        let of = |(alias, chain): (&String, &Chain)| {
            let links: Vec<LinkStatus> = chain.links.iter().map(|link| self.link_status(link)).collect();
            let live = links.iter().any(|link| link.state == LinkState::Ready);
            let reason = chain.links.first().and_then(|link| match link {
                Link::Model { provider, .. } => self.providers.get(provider)?.trouble(),
                Link::Offline { .. } => None,
            });
            AliasStatus { alias: alias.clone(), live, reason, links }
        };
        self.chains.iter().map(of).collect()
    }

    fn link_status(&self, link: &Link) -> LinkStatus {
        match link {
            Link::Offline { provider } => {
                LinkStatus { link: provider.clone(), state: LinkState::Offline, price_known: true }
            }
            Link::Model { provider, model } => {
                let state = self.providers.get(provider).map_or(LinkState::NoKey, Openai::state);
                let price_known = self.prices.find(provider, model).1;
                LinkStatus { link: format!("{provider}/{model}"), state, price_known }
            }
        }
    }
}

/// The longest answer that the money buys.
fn affordable(link: &str, price: Price, input: u64, wanted: u32, limit: Option<Money>) -> Result<u32, Fault> {
    let Some(limit) = limit else { return Ok(wanted) };
    let left = limit.0.saturating_sub(price.of(input, 0).0);
    let buys = left.checked_div(price.output).unwrap_or(if limit >= price.of(input, 0) { u64::MAX } else { 0 });
    if buys < SMALLEST_ANSWER.min(u64::from(wanted)) {
        let message = format!(
            "about {input} tokens of input and an answer cost up to {}, and the limit is {limit}: raise max_cost, \
             shorten the input, or give the model's price under `prices`",
            price.of(input, u64::from(wanted))
        );
        return Err(Fault::unsent(link, FaultKind::Request, Category::Budget, &message));
    }
    Ok(u32::try_from(buys).unwrap_or(u32::MAX).min(wanted))
}

/// The answer with what the links before it did.
fn after(mut answer: Answer, faults: Vec<Fault>) -> Answer {
    answer.hops = faults.into_iter().map(|fault| fault.hop).collect();
    answer.calls += Hop::calls(&answer.hops);
    answer.degraded = Hop::reasons(&answer.hops).map(|why| format!("{why}; answered by {}", answer.provider));
    answer
}

/// The error that helps most: one that passes by itself before one that does not.
fn give_up(alias: &str, faults: Vec<Fault>) -> GatewayError {
    let chosen = faults.iter().find(|fault| fault.error.retryable).or_else(|| faults.first());
    let Some(chosen) = chosen else {
        return GatewayError::plain(TaskError::new(Category::ModelRequired, format!("`{alias}` has no model to ask")));
    };
    let mut error = chosen.error.clone();
    if faults.len() > 1 {
        let all: Vec<&str> = faults.iter().map(|fault| fault.error.message.as_str()).collect();
        let (retryable, wait) = (error.retryable, error.retry_after);
        error = TaskError::new(error.category, all.join("; "));
        error.retryable = retryable;
        error.retry_after = wait;
    }
    GatewayError { error, hops: faults.into_iter().map(|fault| fault.hop).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_cut_to_what_the_money_buys() {
        let price = Price { input: 100, output: 1_000 };
        let buys = |limit: u64| affordable("p/m", price, 1_000, 4_096, Some(Money(limit)));
        assert_eq!(buys(10_000_000).unwrap(), 4_096);
        assert_eq!(buys(1_100_000).unwrap(), 1_000);
        let fault = buys(200_000).unwrap_err();
        assert_eq!(fault.error.category, Category::Budget);
        assert!(fault.error.message.contains("the limit is $0.0002"), "{}", fault.error.message);
    }

    #[test]
    fn a_free_model_is_always_affordable() {
        let free = Price { input: 0, output: 0 };
        assert_eq!(affordable("p/m", free, 1_000, 4_096, Some(Money(0))).unwrap(), 4_096);
    }

    #[test]
    fn without_a_key_the_status_says_so() {
        let gateway = Gateway::new(&GatewayConfig::default(), &|_| None).unwrap();
        let status = gateway.status();
        assert_eq!(status[0].alias, "fast");
        assert!(!status[0].live);
        assert_eq!(status[0].reason.as_deref(), Some("no OPENAI_API_KEY"));
        assert_eq!(status[0].links[0].state, LinkState::NoKey);
        assert!(gateway.knows("fast") && !gateway.knows("slow"));
    }
}
