//! Which aliases have a model behind them, for the warning at start and for `doctor`.

use serde::Serialize;

/// An alias and what stands behind it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasStatus {
    /// The name that workers use.
    pub alias: String,
    /// Whether a model can be asked.
    pub live: bool,
    /// Why the first link cannot be asked, such as `no OPENAI_API_KEY`.
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
    /// What it can do now.
    pub state: LinkState,
    /// Whether a price is known; if not, the dearer default is charged.
    pub price_known: bool,
}

/// What a link can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It can be asked.
    Ready,
    /// Its key is not set.
    NoKey,
    /// Its key was refused at the last call.
    KeyRefused,
    /// It is the classical methods.
    Offline,
}
