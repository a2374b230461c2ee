//! Providers, aliases and prices as `kapelle.yaml` has them, and the checks on them.

use std::{collections::BTreeMap, path::PathBuf};

use kapelle_core::Money;
use serde::{Deserialize, Serialize};

use crate::{
    price::{Long, Price},
    wire::Feature,
};

/// Default address of the provider named `openai`.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// The model of the default alias: OpenAI's current small one, as of 2026-12-01
/// (<https://developers.openai.com/api/docs/models>).
pub const DEFAULT_MODEL: &str = "gpt-6-luna";
/// The model of the alias `smart`: OpenAI's current large one for everyday work, as of that day.
const LARGE_MODEL: &str = "gpt-6.2-sol";
/// The default alias.
pub const DEFAULT_ALIAS: &str = "fast";
/// Overrides the model name of the default alias.
pub const MODEL_VARIABLE: &str = "AI_MODEL";

/// Parts of the configuration that the gateway reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Providers by name.
    pub providers: BTreeMap<String, Provider>,
    /// Aliases that workers name.
    pub models: BTreeMap<String, Alias>,
    /// Prices that override the table, by `provider/model` or `provider/*`.
    pub prices: BTreeMap<String, PricePerMillion>,
    /// Whether links after the first may answer.
    pub fallback: bool,
}

/// Wire format of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// OpenAI, or another address that speaks its format.
    Openai,
    /// Azure OpenAI and Foundry (`resource` or `base_url`); models are deployments.
    Azure,
    /// AWS Bedrock with a Bedrock API key (`region` or `base_url`).
    Bedrock,
    /// The Gemini API.
    Gemini,
    /// Vertex AI (`project` and `location`, or `base_url`).
    Vertex,
    /// Anthropic's Messages.
    Anthropic,
    /// Any server that speaks the format of OpenAI (`base_url`).
    Compatible,
    /// Classical methods that come with Kapelle.
    Offline,
}

impl Kind {
    /// Returns the variable that the provider's own tools take the key from. Returns `None` for a kind that needs no
    /// key.
    pub(crate) fn usual_variable(self) -> Option<&'static str> {
        match self {
            Kind::Openai | Kind::Compatible | Kind::Offline => None,
            Kind::Azure => Some("AZURE_OPENAI_API_KEY"),
            Kind::Bedrock => Some("AWS_BEARER_TOKEN_BEDROCK"),
            Kind::Gemini => Some("GEMINI_API_KEY"),
            Kind::Vertex => Some("VERTEX_ACCESS_TOKEN"),
            Kind::Anthropic => Some("ANTHROPIC_API_KEY"),
        }
    }
}

/// A provider and the sources of its address and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Provider {
    pub kind: Kind,
    /// The address, such as `http://localhost:11434/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable that overrides the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url_env: Option<String>,
    /// The environment variable that holds the key. Without it `openai` and `compatible` need no key, and the others
    /// use the variable of their own tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// A file that holds the key. It is read for each call, so it may be renewed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Whether the address may be plain HTTP on another machine, where the key and every prompt can be read on the way.
    #[serde(default)]
    pub insecure: bool,
    /// The resource of `azure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The region of `bedrock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The project of `vertex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The location of `vertex`. Default: `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Features that differ from those of the kind: `{ responses: false }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub supports: BTreeMap<Feature, bool>,
    /// Request fields that are passed to this provider although Kapelle does not know them, such as `documents`. Their
    /// cost beyond tokens is neither reserved nor metered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass: Vec<String>,
    /// The field that limits the answer when the caller sets no limit, for all models of this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_field: Option<LimitField>,
    /// Rate limits of the provider. Limits in its answers are learned as well.
    #[serde(default, skip_serializing_if = "RateLimits::is_open")]
    pub limits: RateLimits,
}

/// Field with which the gateway limits the length of an answer when the caller did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitField {
    /// The old name, which most servers know.
    MaxTokens,
    /// The new name, which reasoning models of OpenAI and Azure require.
    MaxCompletionTokens,
    /// Adds no limit. `max_output_tokens` is still reserved.
    None,
}

impl LimitField {
    /// Returns the field's name in a chat request. Returns `None` for [`LimitField::None`].
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            LimitField::MaxTokens => Some("max_tokens"),
            LimitField::MaxCompletionTokens => Some("max_completion_tokens"),
            LimitField::None => None,
        }
    }
}

/// Rate limits of a provider, shared by all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Requests in any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute, sent and received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
}

impl RateLimits {
    /// Tells whether both limits are missing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == RateLimits::default()
    }
}

impl Provider {
    /// Returns the environment variable that holds the key: the named one, or that of the provider's own tools. Returns
    /// `None` for a provider without a key.
    #[must_use]
    pub fn key_variable(&self) -> Option<&str> {
        self.api_key_env.as_deref().or(self.kind.usual_variable())
    }

    /// Makes a provider of that kind with default settings.
    #[must_use]
    pub fn of(kind: Kind) -> Provider {
        Provider {
            kind,
            base_url: None,
            base_url_env: None,
            api_key_env: None,
            api_key_file: None,
            insecure: false,
            resource: None,
            region: None,
            project: None,
            location: None,
            supports: BTreeMap::new(),
            pass: Vec::new(),
            limit_field: None,
            limits: RateLimits::default(),
        }
    }
}

/// A name for a list of models in order of preference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `provider/model`, or `offline`.
    pub chain: Vec<String>,
    /// Length limit of an answer when the caller sets none, in tokens.
    #[serde(default = "default_output_tokens")]
    pub max_output_tokens: u32,
    /// The field for that limit. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_field: Option<LimitField>,
    /// Frequencies with which the links come first, in the order of the chain: `[3, 1]`. Empty: the first link always
    /// does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<u32>,
}

/// Dollars per million tokens, as providers list them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricePerMillion {
    /// Dollars for tokens sent, such as `$0.15`.
    pub input: String,
    /// Dollars for tokens received.
    pub output: String,
    /// Dollars for tokens read from the provider's prompt cache. Default: the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
    /// Prices of calls with a long prompt, where they are higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_prompts: Option<LongPerMillion>,
}

/// Dollars per million tokens of calls with a long prompt. They apply to all tokens of the call, not only to those
/// above the bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongPerMillion {
    /// Largest short prompt, in tokens; a longer one is long.
    pub above: u64,
    /// Dollars for tokens sent.
    pub input: String,
    /// Dollars for tokens received.
    pub output: String,
    /// Dollars for tokens read from the provider's prompt cache. Default: the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
}

fn default_output_tokens() -> u32 {
    4_096
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        let openai = Provider {
            base_url_env: Some("OPENAI_BASE_URL".to_owned()),
            api_key_env: Some("OPENAI_API_KEY".to_owned()),
            ..Provider::of(Kind::Openai)
        };
        let offline = Provider::of(Kind::Offline);
        let alias = |model: &str, offline: bool| {
            let chain = [Some(format!("openai/{model}")), offline.then(|| "offline".to_owned())];
            let chain = chain.into_iter().flatten().collect();
            Alias { chain, max_output_tokens: default_output_tokens(), limit_field: None, weights: Vec::new() }
        };
        let usual =
            [("smart", LARGE_MODEL, true), ("cheap", DEFAULT_MODEL, true), ("embed", "text-embedding-3-small", false)];
        let mut models: BTreeMap<String, Alias> =
            usual.into_iter().map(|(name, model, offline)| (name.to_owned(), alias(model, offline))).collect();
        models.insert(DEFAULT_ALIAS.to_owned(), alias(DEFAULT_MODEL, true));
        GatewayConfig {
            providers: BTreeMap::from([("openai".to_owned(), openai), ("offline".to_owned(), offline)]),
            models,
            prices: BTreeMap::new(),
            fallback: true,
        }
    }
}

/// A configuration error and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// The path of the key, such as `models.fast.chain[0]`.
    pub place: String,
    /// The problem and the next step.
    pub message: String,
}

impl ConfigError {
    pub(crate) fn at(place: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError { place: place.into(), message: message.into() }
    }
}

/// One checked link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Calls that model of that provider.
    Model { provider: String, model: String },
    /// Runs the classical method.
    Offline { provider: String },
}

impl GatewayConfig {
    /// Reads every chain. `model` replaces the model name of the default alias.
    pub(crate) fn links(&self, model: Option<&str>) -> Result<BTreeMap<String, Vec<Link>>, ConfigError> {
        let mut aliases = BTreeMap::new();
        for (alias, entry) in &self.models {
            if entry.chain.is_empty() {
                let message = "the chain is empty: name at least one link, such as openai/gpt-6-luna or offline";
                return Err(ConfigError::at(format!("models.{alias}.chain"), message));
            }
            let mut links = Vec::with_capacity(entry.chain.len());
            entry.check_weights(alias)?;
            for (at, text) in entry.chain.iter().enumerate() {
                let instead = model.filter(|_| alias == DEFAULT_ALIAS);
                links.push(
                    self.link(text, instead).map_err(|m| ConfigError::at(format!("models.{alias}.chain[{at}]"), m))?,
                );
            }
            aliases.insert(alias.clone(), links);
        }
        Ok(aliases)
    }

    fn link(&self, text: &str, instead: Option<&str>) -> Result<Link, String> {
        let (name, model) = text.split_once('/').unwrap_or((text, ""));
        let Some(provider) = self.providers.get(name) else {
            let known: Vec<_> = self.providers.keys().map(String::as_str).collect();
            return Err(format!("there is no provider `{name}`; there are: {}", known.join(", ")));
        };
        match (provider.kind, model) {
            (Kind::Offline, "") => Ok(Link::Offline { provider: name.to_owned() }),
            (Kind::Offline, _) => Err(format!("`{name}` has no models: write `{name}` alone")),
            (_, "") => Err(format!("name a model too: `{name}/{DEFAULT_MODEL}`")),
            (_, model) => {
                // The override is meant for the provider's own models, not for a second server in the chain.
                let model = instead.filter(|_| name == "openai").unwrap_or(model);
                Ok(Link::Model { provider: name.to_owned(), model: model.to_owned() })
            }
        }
    }

    /// Returns the user's prices per token.
    pub(crate) fn own_prices(&self) -> Result<BTreeMap<String, Price>, ConfigError> {
        let mut prices = BTreeMap::new();
        for (model, price) in &self.prices {
            let place = format!("prices.{model}");
            let usual = rates(&place, [&price.input, &price.output], price.cached_input.as_ref())?;
            let long = price.long_prompts.as_ref().map(|long| long_price(&place, long, usual)).transpose()?;
            prices.insert(model.clone(), Price { long, ..usual });
        }
        Ok(prices)
    }
}

/// Converts prices per million tokens to prices per token.
fn rates(place: &str, [input, output]: [&String; 2], cached: Option<&String>) -> Result<Price, ConfigError> {
    let read = |side: &str, text: &str| {
        let place = || format!("{place}.{side}");
        let money = Money::parse(text).map_err(|e| ConfigError::at(place(), e.to_string()))?;
        if money.0 % 1_000_000 != 0 {
            return Err(ConfigError::at(place(), "the smallest price is $0.001 for a million tokens"));
        }
        Ok(money.0 / 1_000_000)
    };
    let (input, output) = (read("input", input)?, read("output", output)?);
    let cached = cached.map_or(Ok(input), |text| read("cached_input", text))?;
    // Writing into a cache costs up to a quarter more, or twice as much for an hour; the higher price is used.
    Ok(Price { input, output, cached, cache_write: input.saturating_mul(2), long: None })
}

fn long_price(place: &str, long: &LongPerMillion, usual: Price) -> Result<Long, ConfigError> {
    let place = format!("{place}.long_prompts");
    if long.above == 0 {
        let message = "every prompt is longer than that: say above how many tokens, such as 200000";
        return Err(ConfigError::at(format!("{place}.above"), message));
    }
    let Price { input, output, cached, cache_write, .. } =
        rates(&place, [&long.input, &long.output], long.cached_input.as_ref())?;
    // Reservations rely on this: the length of a prompt is known only after the call.
    let sides =
        [("input", input, usual.input), ("output", output, usual.output), ("cached_input", cached, usual.cached)];
    if let Some((side, ..)) = sides.into_iter().find(|(_, long, usual)| long < usual) {
        let message =
            "a long prompt cannot be cheaper than a short one: leave `long_prompts` out, or give the higher price";
        return Err(ConfigError::at(format!("{place}.{side}"), message));
    }
    Ok(Long { above: long.above, input, output, cached, cache_write })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(links: &[&str]) -> GatewayConfig {
        let mut config = GatewayConfig::default();
        config.models.get_mut("fast").unwrap().chain = links.iter().map(|&l| l.to_owned()).collect();
        config
    }

    #[test]
    fn the_default_alias_asks_openai_then_goes_offline() {
        let links = GatewayConfig::default().links(Some("gpt-9")).unwrap();
        assert_eq!(
            links["fast"],
            [
                Link::Model { provider: "openai".to_owned(), model: "gpt-9".to_owned() },
                Link::Offline { provider: "offline".to_owned() }
            ]
        );
    }

    #[test]
    fn a_wrong_link_is_named_with_its_place() {
        for (links, part) in [
            (&["azure/x"][..], "there is no provider `azure`; there are: offline, openai"),
            (&["openai"], "name a model too"),
            (&["offline/x"], "has no models"),
            (&[], "the chain is empty"),
        ] {
            let error = chain(links).links(None).unwrap_err().to_string();
            assert!(error.starts_with("models.fast.chain") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn prices_are_read_per_million() {
        let mut config = GatewayConfig::default();
        let price = |input: &str| PricePerMillion {
            input: input.to_owned(),
            output: "$0.60".to_owned(),
            cached_input: None,
            long_prompts: None,
        };
        config.prices.insert("openai/mine".to_owned(), price("$0.15"));
        let want = Price { input: 150, output: 600, cached: 150, cache_write: 300, long: None };
        assert_eq!(config.own_prices().unwrap()["openai/mine"], want);
        config.prices.insert("openai/mine".to_owned(), price("cheap"));
        assert!(config.own_prices().unwrap_err().to_string().starts_with("prices.openai/mine.input: `cheap`"));
    }

    #[test]
    fn prices_of_long_prompts_are_read_and_what_is_wrong_with_them_is_told() {
        let read = |long: &str| {
            let text = format!(
                r#"{{ "prices": {{ "p/m": {{ "input": "$1", "output": "$10", "cached_input": "$0.10", "long_prompts": {long} }} }} }}"#
            );
            serde_json::from_str::<GatewayConfig>(&text).map_err(|error| error.to_string()).and_then(|config| {
                config.own_prices().map(|prices| prices["p/m"].long).map_err(|error| error.to_string())
            })
        };
        let long = Long { above: 200_000, input: 2_000, output: 15_000, cached: 200, cache_write: 4_000 };
        let whole = r#"{ "above": 200000, "input": "$2", "output": "$15", "cached_input": "$0.20" }"#;
        assert_eq!(read(whole), Ok(Some(long)));
        let shorter = r#"{ "above": 200000, "input": "$2", "output": "$15" }"#;
        assert_eq!(read(shorter), Ok(Some(Long { cached: 2_000, ..long })));
        assert_eq!(read("null"), Ok(None));
        for (wrong, told) in [
            (whole.replace("200000", "0"), "prices.p/m.long_prompts.above: every prompt is longer than that"),
            (
                whole.replace("$15", "$9"),
                "prices.p/m.long_prompts.output: a long prompt cannot be cheaper than a short one",
            ),
            (whole.replace("$0.20", "$0.05"), "prices.p/m.long_prompts.cached_input: a long prompt cannot be cheaper"),
            (whole.replace("$2", "cheap"), "prices.p/m.long_prompts.input: `cheap`"),
            (whole.replace("$15", "$0.0001"), "prices.p/m.long_prompts.output: the smallest price is $0.001"),
            (whole.replace("200000", "-1"), "invalid value: integer `-1`"),
            (whole.replace("above", "over"), "unknown field `over`, expected one of `above`, `input`, `output`"),
            (r#"{ "above": 200000, "input": "$2" }"#.to_owned(), "missing field `output`"),
        ] {
            let error = read(&wrong).unwrap_err();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn weights_are_as_many_as_links() {
        let mut config = chain(&["openai/a", "openai/b"]);
        for (weights, fine) in [(vec![3, 1], true), (vec![], true), (vec![1], false), (vec![0, 0], false)] {
            config.models.get_mut("fast").unwrap().weights = weights;
            assert_eq!(config.links(None).is_ok(), fine);
        }
    }

    #[test]
    fn unknown_keys_are_errors() {
        let text = r#"{"providers":{"x":{"kind":"openai","api_key":"secret"}}}"#;
        assert!(serde_json::from_str::<GatewayConfig>(text).is_err());
    }
}
