//! Access to every model provider: configuration, circuit breakers, rates, and the pipeline of all calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use kapelle_core::{DurationMs, Money};

use crate::{
    admission::Promises,
    circuit_breakers::{CircuitBreakers, LinkHealth},
    clock::Clock,
    config::{ConfigError, GatewayConfig, Link},
    money::Ledger,
    price::Price,
    providers::Server,
    remote::{AttemptTokens, RemoteGateway},
    replay::CallLog,
    routes::Routes,
    service::Pipeline,
    status::{AliasStatus, LinkState, LinkStatus, ModelStatus, ProviderStatus},
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
    pipeline: OnceLock<Arc<Pipeline>>,
    remote: OnceLock<RemoteGateway>,
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
        Ok(Gateway { routes, breakers, clock, promises, pipeline: OnceLock::new(), remote: OnceLock::new() })
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

    /// Sets the ledger that pays for every call, and the log that records it, before the first call. A gateway without
    /// them has a ledger without limits and a log in memory. Later calls of this method change nothing.
    pub fn keep_books(&self, ledger: Arc<dyn Ledger>, log: Arc<dyn CallLog>) {
        let _ = self.pipeline.set(Pipeline::new(ledger, log, self.clock.clone()));
    }

    /// Returns the link of a chain that reserves the least money for a short question, and that amount.
    ///
    /// The usual limit of an answer decides it. Returns `None` when the chain is unknown or no price of it is known.
    #[must_use]
    pub fn least_reservation(&self, name: &str) -> Option<(String, Money)> {
        let routes = self.routes();
        let chain = routes.find(name).ok()?;
        let reserved = chain.links.iter().filter_map(|link| match link {
            Link::Model { provider, model } => {
                let (price, known) = routes.prices.find(provider, model);
                let output = u64::from(chain.max_output_tokens);
                known.then(|| (format!("{provider}/{model}"), price.worst(1, output)))
            }
            _ => None,
        });
        reserved.min_by_key(|(_, amount)| *amount)
    }

    /// Returns the model that an alias would ask first, as `provider/model`, with its price and the most tokens of an
    /// answer. Returns `None` when the chain is unknown or no model of it can be called.
    #[must_use]
    pub fn first_model(&self, name: &str) -> Option<(String, Price, u64)> {
        let routes = self.routes();
        let chain = routes.find(name).ok()?;
        let ready = chain.links.iter().find(|link| link_status(&routes, link).state == LinkState::Ready)?;
        let Link::Model { provider, model } = ready else { return None };
        let price = routes.prices.find(provider, model).0;
        Some((format!("{provider}/{model}"), price, u64::from(chain.max_output_tokens)))
    }

    /// Returns the state of every `provider/model` that was called.
    #[must_use]
    pub fn link_health(&self) -> Vec<LinkHealth> {
        self.breakers.health(self.clock.now_ms())
    }

    /// Returns the pipeline of every call.
    pub(crate) fn pipeline(&self) -> &Arc<Pipeline> {
        self.pipeline.get_or_init(|| Pipeline::in_memory(self.clock.clone()))
    }

    /// Returns the gateway of the server that assigned the tasks, on a worker host.
    pub(crate) fn remote(&self) -> Option<&RemoteGateway> {
        self.remote.get()
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

    /// Returns the current state of each provider and its models. Nothing is sent.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderStatus> {
        let (routes, now_ms) = (self.routes(), self.clock.now_ms());
        let links: Vec<&Link> = routes.chains.values().flat_map(|chain| &chain.links).collect();
        let health = self.link_health();
        let of_server = |(name, server): (&String, &Arc<Server>)| {
            let mut models: BTreeMap<&str, ModelStatus> = BTreeMap::new();
            let fresh = |model: &str| model_status(&routes, server, model, now_ms);
            for link in &links {
                if let Link::Model { provider, model } = link
                    && provider == name
                {
                    models.entry(model).or_insert_with(|| fresh(model)).configured = true;
                }
            }
            for link in &health {
                if let Some((provider, model)) = link.link.split_once('/')
                    && provider == name
                {
                    models.entry(model).or_insert_with(|| fresh(model)).health = Some(link.clone());
                }
            }
            ProviderStatus {
                name: name.clone(),
                state: server.state(),
                trouble: server.trouble(),
                models: models.into_values().collect(),
            }
        };
        routes.servers.iter().map(of_server).collect()
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

fn model_status(routes: &Routes, server: &Server, model: &str, now_ms: u64) -> ModelStatus {
    ModelStatus {
        model: model.to_owned(),
        configured: false,
        price_known: routes.prices.find(server.name(), model).1,
        rate: server.rate.left(now_ms, model),
        health: None,
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
