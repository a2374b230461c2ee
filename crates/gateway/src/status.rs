//! Aliases without a model that can be called, for the warning at start and for `doctor`.

use serde::Serialize;

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
