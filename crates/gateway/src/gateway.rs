//! The gateway as a prompt worker uses it: an alias, a request, one whole answer.

use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use kapelle_core::{Category, DurationMs, Money, TaskError, worker::TextSink};
use tokio::time::Instant;

use crate::{
    admission::Promises,
    answer::{Answer, Hop, Route},
    chain_call::{ChainCall, End},
    circuit_breakers::CircuitBreakers,
    clock::Clock,
    completion,
    config::{ConfigError, GatewayConfig, Link},
    error::GatewayError,
    money::{Ledger, Payer},
    prompt_call::{Before, PromptCall},
    providers::Fault,
    remote::{AttemptTokens, RemoteGateway},
    replay::{CallLog, Fingerprint, LogError, Recorded},
    request::ChatRequest,
    routes::Routes,
    status::{AliasStatus, LinkState, LinkStatus},
    wire::ModelCall,
};

/// Limits of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Timeout of the whole chain, divided evenly among its models.
    pub timeout: Duration,
    /// Cost limit of the call; the answer is cut to the length that the limit buys.
    pub max_cost: Option<Money>,
    /// Whether only the first link may answer.
    pub no_fallback: bool,
    /// Whether the task will not be retried, so that the offline link may answer after a temporary fault, too.
    pub last_attempt: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { timeout: Duration::from_secs(60), max_cost: None, no_fallback: false, last_attempt: false }
    }
}

/// Access to every model provider.
pub struct Gateway {
    routes: RwLock<Arc<Routes>>,
    pub(crate) breakers: CircuitBreakers,
    pub(crate) clock: Clock,
    pub(crate) promises: Promises,
    books: OnceLock<Books>,
    remote: OnceLock<RemoteGateway>,
}

/// The ledger and the log of answers.
struct Books {
    ledger: Arc<dyn Ledger>,
    log: Arc<dyn CallLog>,
}

impl Gateway {
    /// Checks the configuration and reads keys and addresses from the environment. It opens no connections.
    ///
    /// # Errors
    /// [`ConfigError`] that names the key: an unknown provider, an invalid address or an invalid price.
    pub fn new(config: &GatewayConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<Gateway, ConfigError> {
        Gateway::with_clock(config, env, Clock::default())
    }

    /// Makes a gateway with a clock that the caller moves.
    ///
    /// # Errors
    /// See [`Gateway::new`].
    pub fn with_clock(
        config: &GatewayConfig,
        env: &dyn Fn(&str) -> Option<String>,
        clock: Clock,
    ) -> Result<Gateway, ConfigError> {
        let routes = Routes::new(config, env, &clock, None)?;
        let routes = RwLock::new(Arc::new(routes));
        let (breakers, promises) = (CircuitBreakers::default(), Promises::default());
        Ok(Gateway { routes, breakers, clock, promises, books: OnceLock::new(), remote: OnceLock::new() })
    }

    /// Replaces the configuration. Calls in flight keep the configuration they began with. Unchanged servers keep their
    /// connections, and what was learned of links and rates is kept.
    ///
    /// # Errors
    /// See [`Gateway::new`]; the earlier configuration then stays in force.
    pub fn reload(&self, config: &GatewayConfig, env: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let routes = Routes::new(config, env, &self.clock, Some(&self.routes()))?;
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        Ok(())
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls the models of the alias in order until one answers.
    ///
    /// A missing or refused key falls to the next link, the offline one included. A temporary fault (rate limit,
    /// timeout, 5xx, no connection) falls to the next model, but to offline only in the last attempt, so that the
    /// task's retry rules come first. A request that the provider refuses never ends offline.
    ///
    /// # Errors
    /// [`GatewayError`] when no link may answer.
    pub async fn complete(&self, alias: &str, request: &ChatRequest, limits: &Limits) -> Result<Route, GatewayError> {
        let routes = self.routes();
        let call = completion::call_of(alias, request).map_err(GatewayError::plain)?;
        self.call_chain((alias, (&call, Fingerprint::of(&call)), &routes), limits, None, None)
            .await
            .map(|(route, _)| route)
    }

    /// Calls the models of the alias for an attempt of a task, as [`Gateway::complete`] does. With a ledger and a log,
    /// an answer that the task had before is replayed; any other answer is paid for and recorded before it is returned.
    ///
    /// # Errors
    /// See [`Gateway::complete`]; also when a budget is exhausted, or an answer cannot be recorded.
    pub async fn complete_for(
        &self,
        prompt: &PromptCall,
        alias: &str,
        request: &ChatRequest,
        limits: &Limits,
    ) -> Result<Route, GatewayError> {
        if let Some(remote) = self.remote.get() {
            let call = completion::call_of(alias, request).map_err(GatewayError::plain)?;
            let attempt = (prompt.key.task, prompt.payer.attempt);
            return remote.complete(attempt, &call, limits).await.map_err(GatewayError::plain);
        }
        let Some(books) = self.books.get() else { return self.complete(alias, request, limits).await };
        let routes = self.routes();
        let call = completion::call_of(alias, request).map_err(GatewayError::plain)?;
        let lost = |error: LogError| GatewayError::plain(TaskError::new(Category::Internal, error.to_string()));
        let fingerprint = Fingerprint::of(&call);
        match prompt.recorded_answer(&*books.log, (alias, fingerprint)).await.map_err(lost)? {
            Before::Answer(answer, recorded) => {
                let answer = completion::again(&answer).map_err(GatewayError::plain)?;
                prompt.show(&answer.content);
                return Ok(Route::Answer(Answer { recorded, ..answer }));
            }
            Before::Offline(reason) => return routes.offline(alias, reason).map_err(GatewayError::plain),
            Before::Missing(error) => return Err(GatewayError::plain(error)),
            Before::Ask => {}
        }
        let payer = Some((&prompt.payer, &books.ledger));
        let (route, recorded) =
            self.call_chain((alias, (&call, fingerprint), &routes), limits, payer, prompt.watcher()).await?;
        if let Some(recorded) = recorded {
            books.log.append(prompt.key, recorded).await.map_err(lost)?;
        }
        Ok(route)
    }

    /// Sets the ledger that pays for every call of a task, and the log that records it. Later calls of this method
    /// change nothing.
    pub fn keep_books(&self, ledger: Arc<dyn Ledger>, log: Arc<dyn CallLog>) {
        let _ = self.books.set(Books { ledger, log });
    }

    /// Sends every call of a task to the gateway at that address, such as `http://127.0.0.1:7863/v1`, with the token of
    /// the task. A worker host uses this: its server meters, caps, records and replays the calls. Later calls of this
    /// method change nothing.
    ///
    /// # Errors
    /// When the address is invalid.
    pub fn use_remote(&self, base_url: &str, tokens: Arc<dyn AttemptTokens>) -> Result<(), ConfigError> {
        let remote = RemoteGateway::at(base_url, tokens).map_err(|why| ConfigError::at("server", why))?;
        let _ = self.remote.set(remote);
        Ok(())
    }

    async fn call_chain(
        &self,
        (alias, (call, fingerprint), routes): (&str, (&ModelCall, Fingerprint), &Routes),
        limits: &Limits,
        payer: Option<(&Payer, &Arc<dyn Ledger>)>,
        watcher: Option<&dyn TextSink>,
    ) -> Result<(Route, Option<Recorded>), GatewayError> {
        let chain = routes.chains.get(alias).ok_or_else(|| GatewayError::plain(routes.unknown(alias)))?;
        let chain_call = ChainCall {
            call,
            chain,
            routes,
            breakers: &self.breakers,
            clock: &self.clock,
            promises: &self.promises,
            until: Instant::now() + limits.timeout,
            fallback: routes.fallback && !limits.no_fallback,
            last_attempt: limits.last_attempt,
            max_cost: limits.max_cost,
            known_price_only: false,
            hold: false,
            payer,
            fingerprint,
            watcher,
        };
        match chain_call.run().await {
            Ok(End::Offline(provider, faults)) => {
                let hops: Vec<Hop> = faults.into_iter().map(|fault| *fault.hop).collect();
                Ok((Route::Offline { provider, reason: Hop::reasons(&hops), hops }, None))
            }
            Ok(End::Open(mut upstream, mut faults)) => {
                match completion::answer_of(&mut upstream, (call, fingerprint)) {
                    Ok((answer, recorded)) => Ok((Route::Answer(completion::after(answer, faults)), Some(recorded))),
                    Err(fault) => {
                        faults.push(fault);
                        Err(give_up(alias, faults))
                    }
                }
            }
            Err(faults) => {
                if let Some((payer, ledger)) = payer {
                    tell_short(&faults, payer, ledger);
                }
                Err(give_up(alias, faults))
            }
        }
    }

    /// Returns the provider whose rate a call of that alias waits for, and the wait; of several providers the one with
    /// the shortest wait. Returns `None` when a link has room for a call now. Nothing is sent or reserved.
    #[must_use]
    pub fn rate_wait(&self, alias: &str) -> Option<(String, DurationMs)> {
        let routes = self.routes();
        let chain = routes.find(alias).ok()?;
        let now_ms = self.clock.now_ms();
        let waits = chain.links.iter().filter_map(|link| match link {
            Link::Model { provider, model } if routes.has_key(link) => {
                Some((provider.clone(), routes.servers.get(provider)?.rate.waits(now_ms, model)))
            }
            _ => None,
        });
        waits.min_by_key(|(_, wait)| *wait).filter(|(_, wait)| *wait > DurationMs(0))
    }

    /// Tells whether that alias exists.
    #[must_use]
    pub fn knows(&self, alias: &str) -> bool {
        self.routes().chains.contains_key(alias)
    }

    /// Returns the current state of each alias and its links. Nothing is sent.
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

/// Tells the ledger that the call failed for lack of money alone.
pub(crate) fn tell_short(faults: &[Fault], payer: &Payer, ledger: &Arc<dyn Ledger>) {
    let lasting = faults.iter().all(|fault| !fault.error.retryable);
    if let Some(why) = faults.iter().find_map(|fault| fault.short.as_deref()).filter(|_| lasting) {
        ledger.short(payer, why);
    }
}

/// Chooses the most useful error: a temporary one before a permanent one.
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
    let told = chosen.told.clone();
    GatewayError { error, hops: faults.into_iter().map(|fault| *fault.hop).collect(), told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_the_status_says_so() {
        let gateway = Gateway::new(&GatewayConfig::default(), &|_| None).unwrap();
        let status = gateway.status();
        assert_eq!(
            status.iter().map(|one| one.alias.as_str()).collect::<Vec<_>>(),
            ["cheap", "embed", "fast", "smart"]
        );
        let fast = &status[2];
        assert!(!fast.live);
        assert_eq!(fast.reason.as_deref(), Some("no OPENAI_API_KEY"));
        assert_eq!(fast.links[0].state, LinkState::NoKey);
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
