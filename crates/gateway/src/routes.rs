//! Aliases and servers of one version of the configuration.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_core::{Category, TaskError};

use crate::{
    clock::Clock,
    config::{Alias, ConfigError, GatewayConfig, LimitField, Link, MODEL_VARIABLE},
    price::Prices,
    providers::Server,
};

/// Length limit of the answer of a model that is called by its own name, in tokens.
const OUTPUT_TOKENS: u32 = 4_096;
/// Provider of models that are named without one.
const HOME: &str = "openai";
/// Provider of models whose names begin like Anthropic's, if it is configured.
const CLAUDE: (&str, &str) = ("anthropic", "claude-");

/// A chain of links, with the state of its weights.
pub(crate) struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) max_output_tokens: u32,
    pub(crate) limit_field: Option<LimitField>,
    weights: Vec<u32>,
    turns: Mutex<Vec<i64>>,
}

/// One version of the configuration. A reload makes another; calls in flight keep theirs.
pub(crate) struct Routes {
    pub(crate) chains: BTreeMap<String, Arc<Chain>>,
    pub(crate) servers: BTreeMap<String, Arc<Server>>,
    pub(crate) prices: Prices,
    pub(crate) fallback: bool,
}

impl Chain {
    fn new(links: Vec<Link>, entry: Option<&Alias>) -> Chain {
        let weights = entry.map(|entry| entry.weights.clone()).unwrap_or_default();
        let max_output_tokens = entry.map_or(OUTPUT_TOKENS, |entry| entry.max_output_tokens);
        let limit_field = entry.and_then(|entry| entry.limit_field);
        let turns = Mutex::new(vec![0; weights.len()]);
        Chain { links, max_output_tokens, limit_field, weights, turns }
    }

    /// Returns the links in the order of this call. With weights, each comes first as often as its weight says, evenly
    /// spread: the most overdue link leads, and the others follow in the order of the chain.
    pub(crate) fn order(&self) -> Vec<&Link> {
        let Some(first) = self.leader() else { return self.links.iter().collect() };
        let rest = self.links.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, link)| link);
        self.links.get(first).into_iter().chain(rest).collect()
    }

    fn leader(&self) -> Option<usize> {
        let total: i64 = self.weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        for (due, &weight) in turns.iter_mut().zip(&self.weights) {
            *due += i64::from(weight);
        }
        let first = (0..turns.len()).rev().max_by_key(|&at| turns.get(at).copied())?;
        if let Some(due) = turns.get_mut(first) {
            *due -= total;
        }
        Some(first)
    }
}

impl Routes {
    /// Checks a configuration. Unchanged servers keep their connections and learned limits.
    pub(crate) fn new(
        config: &GatewayConfig,
        env: &dyn Fn(&str) -> Option<String>,
        clock: &Clock,
        before: Option<&Routes>,
    ) -> Result<Routes, ConfigError> {
        let model = env(MODEL_VARIABLE).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut chains = BTreeMap::new();
        for (alias, links) in config.links(model.as_deref())? {
            let entry = config.models.get(&alias);
            chains.insert(alias, Arc::new(Chain::new(links, entry)));
        }
        let mut servers = BTreeMap::new();
        for (name, provider) in &config.providers {
            let Some(server) = Server::new(name, provider, env, clock)? else { continue };
            let known = before.and_then(|routes| routes.servers.get(name)).filter(|known| known.same_as(&server));
            servers.insert(name.clone(), known.map_or_else(|| Arc::new(server), Arc::clone));
        }
        let prices = Prices::with(config.own_prices()?);
        Ok(Routes { chains, servers, prices, fallback: config.fallback })
    }

    /// Finds the chain of an alias.
    pub(crate) fn chain(&self, alias: &str) -> Result<Arc<Chain>, TaskError> {
        self.chains.get(alias).cloned().ok_or_else(|| self.unknown(alias))
    }

    /// Finds the chain behind a name in a script: an alias, `provider/model`, or a model of the provider `openai`
    /// (`gpt-4o-mini`, `ft:...`) or `anthropic` (`claude-...`).
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Chain>, TaskError> {
        if let Some(chain) = self.chains.get(name) {
            return Ok(Arc::clone(chain));
        }
        let single = |provider: &str, model: &str| {
            let link = Link::Model { provider: provider.to_owned(), model: model.to_owned() };
            Arc::new(Chain::new(vec![link], None))
        };
        match name.split_once('/') {
            Some((provider, model)) if self.servers.contains_key(provider) && !model.is_empty() => {
                Ok(single(provider, model))
            }
            None if name.starts_with(CLAUDE.1) && self.servers.contains_key(CLAUDE.0) => Ok(single(CLAUDE.0, name)),
            None if self.servers.contains_key(HOME) => Ok(single(HOME, name)),
            _ => Err(self.unknown(name)),
        }
    }

    /// Returns the provider of the offline link of an alias that was answered offline before, for that reason.
    pub(crate) fn offline(&self, alias: &str, reason: &str) -> Result<String, TaskError> {
        let chain = self.chain(alias)?;
        let link = chain.links.iter().find_map(|link| match link {
            Link::Offline { provider } => Some(provider.clone()),
            Link::Model { .. } => None,
        });
        let gone = || {
            let message =
                format!("it was answered offline then ({reason}), and `{alias}` has no offline link any more");
            TaskError::new(Category::ModelRequired, message).permanent()
        };
        link.ok_or_else(gone)
    }

    pub(crate) fn unknown(&self, name: &str) -> TaskError {
        let shown: String = name.chars().take(80).collect();
        let known: Vec<&str> = self.chains.keys().map(String::as_str).collect();
        let message = format!("unknown model alias `{shown}`; there are: {}", known.join(", "));
        TaskError::new(Category::ModelRequired, message)
    }

    pub(crate) fn has_key(&self, link: &Link) -> bool {
        match link {
            Link::Model { provider, .. } => self.servers.get(provider).is_some_and(|s| s.key_missing().is_none()),
            Link::Offline { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(weights: &[u32]) -> Routes {
        let mut config = GatewayConfig::default();
        let alias = config.models.get_mut("fast").unwrap();
        alias.chain = vec!["openai/a".to_owned(), "openai/b".to_owned(), "offline".to_owned()];
        alias.weights = weights.to_vec();
        Routes::new(&config, &|_| None, &Clock::default(), None).unwrap()
    }

    fn leaders(routes: &Routes, calls: usize) -> String {
        let name = |link: &Link| match link {
            Link::Model { model, .. } => model.clone(),
            Link::Offline { .. } => "-".to_owned(),
        };
        (0..calls).map(|_| name(routes.chains["fast"].order()[0])).collect()
    }

    #[test]
    fn weights_spread_evenly_and_without_them_the_first_leads() {
        assert_eq!(leaders(&routes(&[]), 4), "aaaa");
        assert_eq!(leaders(&routes(&[3, 1, 0]), 8), "aabaaaba");
        assert_eq!(routes(&[0, 1, 0]).chains["fast"].order().len(), 3);
    }

    #[test]
    fn names_are_aliases_first_then_models() {
        let routes = routes(&[]);
        let links = |name| routes.find(name).map(|chain| chain.links.clone()).map_err(|error| error.message);
        let one = |model: &str| vec![Link::Model { provider: "openai".to_owned(), model: model.to_owned() }];
        assert_eq!(links("fast").unwrap().len(), 3);
        assert_eq!(links("openai/gpt-9").unwrap(), one("gpt-9"));
        assert_eq!(links("ft:gpt-4o-mini:acme").unwrap(), one("ft:gpt-4o-mini:acme"));
        assert!(links("azure/x").unwrap_err().contains("there are: cheap, embed, fast"));
    }
}
