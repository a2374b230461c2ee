//! `kapelle.yaml`: the configuration of a project. The file is optional; [`Config::default`] applies without one.

use std::{collections::BTreeMap, fmt};

use kapelle_core::{DurationMs, Name, label::split, limit::KeyLimit, task::Ageing, yaml::Problems};
use kapelle_engine::{Options, QueueOptions};
use kapelle_gateway::GatewayConfig;
use serde::{Deserialize, Serialize};

use crate::{
    budget_config::BudgetsConfig, config_file::ConfigFile, health_config::HealthConfig, log_config::LogConfig,
    secret_config::SecretConfig, webhook_config::WebhooksConfig,
};

/// Milliseconds of the shortest and the longest lease.
const LEASE_LEAST: u64 = 1_000;
const LEASE_MOST: u64 = 600_000;

/// The configuration of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address on which the server listens.
    pub listen: String,
    /// Providers, by name.
    pub providers: BTreeMap<String, kapelle_gateway::config::Provider>,
    /// The aliases that workers name.
    pub models: BTreeMap<String, kapelle_gateway::config::Alias>,
    /// Prices that override the table.
    pub prices: BTreeMap<String, kapelle_gateway::config::PricePerMillion>,
    /// Whether a missing or refused key lets the next model of a chain answer.
    pub fallback: bool,
    /// Spending limits.
    pub budgets: BudgetsConfig,
    /// The queues, with the number of their tasks that run at once in one process.
    pub queues: BTreeMap<String, QueueConfig>,
    /// Waiting time that equals a point of priority; `0s` turns ageing off.
    pub ageing: String,
    /// Retention of ended work.
    pub retention: RetentionConfig,
    /// Labels of this process: tasks that require other labels do not run in it.
    pub labels: BTreeMap<String, String>,
    /// Silence after which a worker host loses its tasks.
    pub lease: String,
    /// Health checks of the server.
    pub health: HealthConfig,
    /// The secrets that settings of workers name.
    pub secrets: BTreeMap<String, SecretConfig>,
    /// The log of the server.
    pub log: LogConfig,
    /// The receivers that subscriptions may name.
    pub webhooks: WebhooksConfig,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// Number of its tasks that run at once in one process.
    pub slots: u32,
    /// Number of its tasks with one concurrency key that may run at once: `{ limit: 1, when_full: queue |
    /// cancel_running | reject }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_key: Option<KeyLimit>,
}

impl QueueConfig {
    /// Makes a queue with that many slots.
    #[must_use]
    pub fn of(slots: u32) -> QueueConfig {
        QueueConfig { slots, per_key: None }
    }
}

/// Retention of ended work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Standalone tasks.
    pub tasks: String,
    /// Runs with their steps.
    pub runs: String,
}

impl Default for RetentionConfig {
    fn default() -> RetentionConfig {
        RetentionConfig { tasks: "7d".to_owned(), runs: "30d".to_owned() }
    }
}

impl Default for Config {
    fn default() -> Config {
        let gateway = GatewayConfig::default();
        let queues = [("default", 8), ("openai", 8), ("ml", 1)];
        Config {
            listen: "127.0.0.1:7863".to_owned(),
            providers: gateway.providers,
            models: gateway.models,
            prices: gateway.prices,
            fallback: gateway.fallback,
            budgets: BudgetsConfig::default(),
            queues: queues.into_iter().map(|(name, slots)| (name.to_owned(), QueueConfig::of(slots))).collect(),
            ageing: "60s".to_owned(),
            retention: RetentionConfig::default(),
            labels: BTreeMap::new(),
            lease: "15s".to_owned(),
            health: HealthConfig::default(),
            secrets: BTreeMap::new(),
            log: LogConfig::default(),
            webhooks: WebhooksConfig::default(),
        }
    }
}

/// A problem of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigProblem {
    /// The field, such as `budgets.day`.
    pub field: String,
    /// The fault, and the next step.
    pub message: String,
}

impl ConfigProblem {
    pub(crate) fn at(field: impl Into<String>, message: impl fmt::Display) -> ConfigProblem {
        ConfigProblem { field: field.into(), message: message.to_string() }
    }
}

/// The top-level keys whose change takes effect while the server runs.
pub(crate) const RELOADED: [&str; 5] = ["providers", "models", "prices", "fallback", "budgets"];

fn problem_of(part: &GatewayConfig) -> Option<ConfigProblem> {
    part.check().err().map(|error| ConfigProblem::at(error.place, error.message))
}

impl Config {
    /// Parses the text of a `kapelle.yaml`. Missing values keep their defaults; providers, models and queues are added
    /// to the defaults, name by name.
    ///
    /// # Errors
    /// Every problem, with file, line, column, field and what to do.
    pub fn parse(text: &str, file: &str) -> Result<Config, Problems> {
        let read = ConfigFile::read(text.as_bytes(), file)?;
        let whole = |error: serde_json::Error| Problems::whole(file, error.to_string(), "");
        let mut config: Config = serde_json::from_value(read.said().clone()).map_err(whole)?;
        let defaults = Config::default();
        for (name, provider) in defaults.providers {
            config.providers.entry(name).or_insert(provider);
        }
        for (name, alias) in defaults.models {
            config.models.entry(name).or_insert(alias);
        }
        for (name, queue) in defaults.queues {
            config.queues.entry(name).or_insert(queue);
        }
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(read.placed(&problems)) }
    }

    /// Returns every problem that depends on several values, or on more than the type of a value.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems: Vec<ConfigProblem> = self.gateway_parts().filter_map(|part| problem_of(&part)).collect();
        let engine = self.engine_parts();
        problems.extend(engine.iter().filter_map(|part| part.options().err()));
        problems.extend(self.secrets.iter().filter_map(|(name, secret)| {
            let problem = secret.check(name).err()?;
            Some(ConfigProblem::at(format!("secrets.{name}"), problem))
        }));
        problems.sort_by(|a, b| a.field.cmp(&b.field));
        problems.dedup();
        problems
    }

    /// Returns a configuration for each alias and each price, with that one alone.
    fn gateway_parts(&self) -> impl Iterator<Item = GatewayConfig> {
        let whole = self.gateway();
        let bare = GatewayConfig { models: BTreeMap::new(), prices: BTreeMap::new(), ..whole.clone() };
        let (of_alias, of_price) = (bare.clone(), bare.clone());
        let aliases = whole.models.into_iter();
        let aliases = aliases.map(move |one| GatewayConfig { models: BTreeMap::from([one]), ..of_alias.clone() });
        let prices = whole.prices.into_iter();
        let prices = prices.map(move |one| GatewayConfig { prices: BTreeMap::from([one]), ..of_price.clone() });
        std::iter::once(bare).chain(aliases).chain(prices)
    }

    /// Returns configurations that each hold one part of this one that the engine reads, and defaults otherwise.
    fn engine_parts(&self) -> Vec<Config> {
        let default = Config::default;
        let mut parts = vec![
            Config { budgets: self.budgets.clone(), ..default() },
            Config { ageing: self.ageing.clone(), ..default() },
            Config { retention: self.retention.clone(), ..default() },
            Config { lease: self.lease.clone(), ..default() },
        ];
        let one = |name: &String, queue: &QueueConfig| BTreeMap::from([(name.clone(), queue.clone())]);
        parts.extend(self.queues.iter().map(|(name, queue)| Config { queues: one(name, queue), ..default() }));
        let one = |name: &String, value: &String| BTreeMap::from([(name.clone(), value.clone())]);
        parts.extend(self.labels.iter().map(|(name, value)| Config { labels: one(name, value), ..default() }));
        // The number of a check is part of the name of its field.
        parts.extend((1..=self.health.checks.len()).map(|count| {
            let checks = self.health.checks[..count].to_vec();
            Config { health: HealthConfig { checks }, ..default() }
        }));
        parts
    }

    /// Returns the top-level keys whose change takes effect only at the next start.
    #[must_use]
    pub fn restart_keys(&self, changed: &Config) -> Vec<&'static str> {
        let differs = [
            ("listen", self.listen != changed.listen),
            ("queues", self.queues != changed.queues),
            ("ageing", self.ageing != changed.ageing),
            ("retention", self.retention != changed.retention),
            ("labels", self.labels != changed.labels),
            ("lease", self.lease != changed.lease),
            ("health", self.health != changed.health),
            ("secrets", self.secrets != changed.secrets),
            ("log", self.log != changed.log),
            ("webhooks", self.webhooks != changed.webhooks),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// Returns the configuration of the gateway.
    #[must_use]
    pub fn gateway(&self) -> GatewayConfig {
        GatewayConfig {
            providers: self.providers.clone(),
            models: self.models.clone(),
            prices: self.prices.clone(),
            fallback: self.fallback,
        }
    }

    /// Returns the options of the engine.
    ///
    /// # Errors
    /// When a name or a duration is invalid.
    pub fn options(&self) -> Result<Options, ConfigProblem> {
        let duration = |place: &str, text: &str| {
            if text == "0" {
                return Ok(DurationMs::ZERO);
            }
            DurationMs::parse(text).map_err(|error| ConfigProblem::at(place, error))
        };
        self.budgets.limits()?;
        let mut queues = BTreeMap::new();
        for (name, queue) in &self.queues {
            let name = Name::parse(name).map_err(|error| ConfigProblem::at(format!("queues.{name}"), error))?;
            if queue.per_key.is_some_and(|rule| rule.limit == 0) {
                let message = "0 lets no task with a key run; expected 1 or more; pause the queue instead";
                return Err(ConfigProblem::at(format!("queues.{name}.per_key.limit"), message));
            }
            queues.insert(name, QueueOptions { slots: queue.slots, per_key: queue.per_key });
        }
        for (name, value) in &self.labels {
            let text = if value.is_empty() { name.clone() } else { format!("{name}={value}") };
            split(&text).map_err(|error| ConfigProblem::at(format!("labels.{name}"), error))?;
        }
        let lease = duration("lease", &self.lease)?;
        if !(LEASE_LEAST..=LEASE_MOST).contains(&lease.0) {
            return Err(ConfigProblem::at("lease", format!("{} is not between 1s and 10m", self.lease)));
        }
        for (at, check) in self.health.checks.iter().enumerate() {
            check.check().map_err(|what| ConfigProblem::at(format!("health.checks[{at}]"), what))?;
        }
        Ok(Options {
            labels: self.labels.clone(),
            lease,
            queues,
            ageing: Ageing(duration("ageing", &self.ageing)?),
            task_retention: duration("retention.tasks", &self.retention.tasks)?,
            run_retention: duration("retention.runs", &self.retention.runs)?,
            ..Options::default()
        })
    }
}
