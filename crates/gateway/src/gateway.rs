//! The gateway as a prompt worker uses it: an alias, a request, one whole answer.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use kapelle_core::{Category, DurationMs, Money, TaskError};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{
    answer::{Answer, Finish, Hop, Route},
    clock::Clock,
    config::{ConfigError, GatewayConfig, Link},
    error::GatewayError,
    health::Clinic,
    providers::{Fault, FaultKind, format::estimated},
    request::ChatRequest,
    routes::Routes,
    status::{AliasStatus, LinkState, LinkStatus},
    walk::{Answered, End, Errand, Opened},
    wire::{ModelCall, Operation},
};

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

/// The way to every model provider.
pub struct Gateway {
    routes: RwLock<Arc<Routes>>,
    pub(crate) clinic: Clinic,
    pub(crate) clock: Clock,
}

/// A chat completion, as far as a worker needs it.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

impl Gateway {
    /// Checks the configuration and reads keys and addresses from the environment. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ConfigError`] that names the key: an unknown provider, an address that is none, a price that is none.
    pub fn new(config: &GatewayConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Gateway, ConfigError> {
        Gateway::with_clock(config, env, Clock::default())
    }

    /// The same with a clock that somebody else moves.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub fn with_clock(
        config: &GatewayConfig,
        env: &dyn Fn(&str) -> Option<String>,
        clock: Clock,
    ) -> Result<Gateway, ConfigError> {
        let routes = Routes::new(config, env, &clock, None)?;
        Ok(Gateway { routes: RwLock::new(Arc::new(routes)), clinic: Clinic::default(), clock })
    }

    /// Takes another configuration. Calls under way end with the one they began with; servers that stay the same keep
    /// their connections, and what was learned of links and rates stays.
    ///
    /// # Errors
    /// As [`Gateway::new`]; the configuration before stays in force then.
    pub fn reload(&self, config: &GatewayConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let routes = Routes::new(config, env, &self.clock, Some(&self.routes()))?;
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        Ok(())
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
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
        let routes = self.routes();
        let chain = routes.chains.get(alias).ok_or_else(|| GatewayError::plain(routes.unknown(alias)))?;
        let call = call_of(alias, request).map_err(GatewayError::plain)?;
        let errand = Errand {
            call: &call,
            chain,
            routes: &routes,
            clinic: &self.clinic,
            clock: &self.clock,
            until: Instant::now() + limits.timeout,
            fallback: routes.fallback && !limits.no_fallback,
            last_attempt: limits.last_attempt,
            max_cost: limits.max_cost,
            known_price_only: false,
            hold: false,
            payer: None,
        };
        match errand.run().await {
            Ok(End::Offline(provider, faults)) => {
                let hops: Vec<Hop> = faults.into_iter().map(|fault| fault.hop).collect();
                Ok(Route::Offline { provider, reason: Hop::reasons(&hops), hops })
            }
            Ok(End::Open(mut opened, mut faults)) => match answer_of(&mut opened, &call) {
                Ok(answer) => Ok(Route::Answer(after(answer, faults))),
                Err(fault) => {
                    faults.push(fault);
                    Err(give_up(alias, faults))
                }
            },
            Err(faults) => Err(give_up(alias, faults)),
        }
    }

    /// How long a call to that alias would have to wait for the rates of its providers now: nothing is sent or taken.
    /// A scheduler asks before it gives a slot to a task, so that the wait is spent in the queue. `tokens` is what the
    /// call is expected to send and receive. Zero when some link would take it at once, or when no link has a rate.
    #[must_use]
    pub fn rate_wait(&self, alias: &str, tokens: u64) -> DurationMs {
        let routes = self.routes();
        let Ok(chain) = routes.find(alias) else { return DurationMs(0) };
        let now_ms = self.clock.now_ms();
        let waits = chain.links.iter().filter_map(|link| match link {
            Link::Model { provider, model } if routes.has_key(link) => {
                let rest = self.clinic.of(&format!("{provider}/{model}")).resting(now_ms);
                let rate = routes.servers.get(provider)?.rate.waits(now_ms, tokens);
                Some(rate.max(rest.unwrap_or(DurationMs(0))))
            }
            _ => None,
        });
        waits.min().unwrap_or(DurationMs(0))
    }

    /// Whether that alias exists.
    #[must_use]
    pub fn knows(&self, alias: &str) -> bool {
        self.routes().chains.contains_key(alias)
    }

    /// What stands behind each alias now. Nothing is sent.
    #[must_use]
    pub fn status(&self) -> Vec<AliasStatus> {
        let routes = self.routes();
        let mut all = Vec::new();
        for (alias, chain) in &routes.chains {
            let links: Vec<LinkStatus> = chain.links.iter().map(|link| link_status(&routes, link)).collect();
            let live = links.iter().any(|link| link.state == LinkState::Ready);
            let reason = chain.links.first().and_then(|link| match link {
                Link::Model { provider, .. } => routes.servers.get(provider)?.trouble(),
                Link::Offline { .. } => None,
            });
            all.push(AliasStatus { alias: alias.clone(), live, reason, links });
        }
        all
    }
}

fn link_status(routes: &Routes, link: &Link) -> LinkStatus {
    match link {
        Link::Offline { provider } => {
            LinkStatus { link: provider.clone(), state: LinkState::Offline, price_known: true }
        }
        Link::Model { provider, model } => {
            let state = routes.servers.get(provider).map_or(LinkState::NoKey, |server| server.state());
            let price_known = routes.prices.find(provider, model).1;
            LinkStatus { link: format!("{provider}/{model}"), state, price_known }
        }
    }
}

fn call_of(alias: &str, request: &ChatRequest) -> Result<ModelCall, TaskError> {
    let bytes = serde_json::to_vec(request).map_or(0, |text| text.len() as u64);
    let mut fields: Map<String, Value> = match serde_json::to_value(request) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.insert("model".to_owned(), Value::from(alias));
    // A worker gets its answer whole.
    fields.remove("stream");
    ModelCall::of(Operation::Chat, fields, bytes).map_err(|refusal| refusal.task_error())
}

fn answer_of(opened: &mut Opened, call: &ModelCall) -> Result<Answer, Fault> {
    let link = format!("{}/{}", opened.provider, opened.model);
    let fault = |kind, reason: &str| Err(Fault::sent(&link, kind, Category::Provider, reason));
    let Answered::Whole(whole) = std::mem::replace(&mut opened.answer, Answered::Taken) else {
        return fault(FaultKind::Request, "the answer came in pieces that were not asked for");
    };
    // A server that does not count is not free: its tokens are estimated.
    let usage = match whole.usage {
        Some(counted) if counted.input > 0 => counted,
        _ => estimated(call, whole.text_tokens.max(1)),
    };
    let cost = opened.settle(&usage);
    let completion: Completion = match serde_json::from_slice(&whole.body) {
        Ok(completion) => completion,
        Err(error) => {
            let reason = format!("the answer is not a chat completion: {error}");
            return fault(FaultKind::Passing, &opened.server.clean(&reason));
        }
    };
    let Some(choice) = completion.choices.into_iter().next() else {
        return fault(FaultKind::Passing, "the answer holds no choice");
    };
    if let Some(refusal) = choice.message.refusal.filter(|text| !text.is_empty()) {
        return fault(FaultKind::Request, &format!("the model declined: {}", opened.server.clean(&refusal)));
    }
    let finish = match choice.finish_reason.as_deref() {
        // Some servers leave the reason out of a whole answer.
        Some("stop") | None => Finish::Stop,
        Some("length") => Finish::Length,
        Some("content_filter") => Finish::Filtered,
        Some(_) => Finish::Other,
    };
    if finish == Finish::Filtered {
        return fault(FaultKind::Request, "the provider's content filter held the answer back");
    }
    Ok(Answer {
        content: choice.message.content.unwrap_or_default(),
        finish,
        provider: opened.provider.clone(),
        model: completion.model.filter(|name| !name.is_empty()).unwrap_or_else(|| opened.model.clone()),
        usage,
        cost,
        price_known: opened.price_known,
        calls: 1,
        degraded: None,
        hops: Vec::new(),
    })
}

/// The answer with what the links before it did.
fn after(mut answer: Answer, faults: Vec<Fault>) -> Answer {
    answer.hops = faults.into_iter().map(|fault| fault.hop).collect();
    answer.calls += Hop::calls(&answer.hops);
    answer.degraded = Hop::reasons(&answer.hops).map(|why| format!("{why}; answered by {}", answer.provider));
    answer
}

/// The error that helps most: one that passes by itself before one that does not.
pub(crate) fn give_up(alias: &str, faults: Vec<Fault>) -> GatewayError {
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
    fn without_a_key_the_status_says_so() {
        let gateway = Gateway::new(&GatewayConfig::default(), &|_| None).unwrap();
        let status = gateway.status();
        assert_eq!(status[0].alias, "fast");
        assert!(!status[0].live);
        assert_eq!(status[0].reason.as_deref(), Some("no OPENAI_API_KEY"));
        assert_eq!(status[0].links[0].state, LinkState::NoKey);
        assert!(gateway.knows("fast") && !gateway.knows("slow"));
    }

    #[test]
    fn a_wrong_configuration_leaves_the_one_before_in_force() {
        let gateway = Gateway::new(&GatewayConfig::default(), &|_| None).unwrap();
        let mut config = GatewayConfig::default();
        config.models.get_mut("fast").unwrap().chain = vec!["nobody/x".to_owned()];
        assert!(gateway.reload(&config, &|_| None).is_err());
        assert!(gateway.knows("fast"));
    }
}
