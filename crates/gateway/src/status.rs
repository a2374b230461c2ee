//! State of aliases, for the warning at start and for `doctor`, and of providers and their models.

use serde::Serialize;

use crate::{circuit_breakers::LinkHealth, rate::RateLeft};

/// An alias and the state of its links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasStatus {
    /// Name that workers use.
    pub alias: String,
    /// Whether a model can be called.
    pub live: bool,
    /// Reason why the first link cannot be called, such as `no OPENAI_API_KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The links in order.
    pub links: Vec<LinkStatus>,
}

/// One link of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// `provider/model` or `offline`.
    pub link: String,
    /// Current state.
    pub state: LinkState,
    /// Whether a price is known. Otherwise the high default price is charged.
    pub price_known: bool,
}

/// Current state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It can be called.
    Ready,
    /// Its key is not set.
    NoKey,
    /// Its key was refused at the last call.
    KeyRefused,
    /// It runs classical methods.
    Offline,
}

/// A provider as it is configured, and its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Name in the configuration.
    pub name: String,
    /// State of its key.
    pub state: LinkState,
    /// Reason why the key cannot be used.
    pub trouble: Option<String>,
    /// Models of the configured chains, and those that were called, by name.
    pub models: Vec<ModelStatus>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// Name of the provider for it.
    pub model: String,
    /// Whether a chain of the configuration leads to it.
    pub configured: bool,
    /// Whether a price is known.
    pub price_known: bool,
    /// Requests and tokens left now.
    pub rate: RateLeft,
    /// Its circuit and recent calls; `None` before the first call.
    pub health: Option<LinkHealth>,
}
