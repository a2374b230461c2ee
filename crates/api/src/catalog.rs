//! Workflows as people choose them, checks of texts, and what a search finds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{graph::Graph, money::ModelCall, state::RunState};

/// Workflows of the project and stored ones, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Catalog {
    pub workflows: Vec<CatalogEntry>,
}

/// A workflow that can be started by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CatalogEntry {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file in the project, which is run instead of any stored version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Reason why the file cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// JSON Schema of its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// The number of its steps, at any depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// The number of the newest stored version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<u32>,
    /// Whether the file differs from the newest stored version.
    #[serde(default)]
    pub unsaved: bool,
    /// Its newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<CatalogRun>,
    /// Its runs that have not ended, at most 1,000.
    #[serde(default)]
    pub open: u64,
}

/// The newest run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct CatalogRun {
    pub run: String,
    pub state: RunState,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A text to be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckSource {
    /// A workflow as YAML or JSON.
    pub source: String,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Checked {
    /// Whether the text can be run here.
    pub ok: bool,
    /// Its problems by line.
    pub problems: Vec<SourceProblem>,
    /// Its graph, if the text is a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Graph>,
}

/// A problem of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceProblem {
    /// Line, from 1; 0 for a problem of the whole text.
    pub line: u32,
    /// Column in characters, from 1; 0 for a problem of the whole line or text.
    pub column: u32,
    /// The field, such as `steps.fetch.retry.delay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The problem, for people.
    pub message: String,
    /// Advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A call of a model and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallAnswered {
    /// The call.
    #[serde(flatten, deserialize_with = "crate::flat::read")]
    pub call: ModelCall,
    /// Its recorded answer: JSON, or text where it is not. The prompt is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// The length of the recorded answer; one of more than 1 MiB is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_bytes: Option<u64>,
}

/// Results of a search, exact ids first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SearchReport {
    pub hits: Vec<SearchHit>,
}

/// A thing that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct SearchHit {
    /// `run`, `task`, `call`, `workflow`, `worker`, `queue` or `script`.
    pub kind: String,
    pub id: String,
    /// One line for people.
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// An id, a number, or a part of a name.
    pub q: String,
    /// The most hits: 1 to 100; default 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Names of models that workers use, and what they lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ProviderReport {
    pub aliases: Vec<ModelAlias>,
    /// Providers that are called over the network, by name.
    pub providers: Vec<Provider>,
    /// Minutes that `recent` counts cover.
    pub recent_minutes: u64,
}

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Provider {
    /// Name in the configuration.
    pub name: String,
    /// `ready`, `no_key` or `key_refused`.
    pub state: String,
    /// Reason why its key cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Configured limit of requests in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Configured limit of tokens in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Its models: those that the configuration names, and for the first tenant those that were called.
    pub models: Vec<ProviderModel>,
}

/// A model of a provider, and how its calls fare. Counts are those of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderModel {
    /// Name of the provider for it.
    pub model: String,
    /// Whether a price is known; else the high default price is charged.
    pub price_known: bool,
    /// State of the circuit breaker.
    pub circuit: CircuitState,
    /// Time until a call is allowed again, after failures or a wait that the provider named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
    /// Temporary failures in a row; five open the circuit.
    pub failures_in_row: u32,
    /// Calls of the last minutes that the provider began to answer.
    pub recent_answered: u64,
    /// Temporary failures of the last minutes.
    pub recent_failed: u64,
    /// Requests that were refused in the last minutes.
    pub recent_refused: u64,
    /// Requests left in this minute, by the configuration and the provider's answers; missing without a known limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_left: Option<u64>,
    /// Tokens left in this minute, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_left: Option<u64>,
    /// Time until the rate limits allow a call of average size; missing while they allow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_wait_ms: Option<u64>,
    /// Its last failure or refusal since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ProviderError>,
}

/// State of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// All calls are allowed.
    Closed,
    /// The provider named a wait; no call before its end.
    Cooling,
    /// Five failures in a row; no call for a time, then one as a trial.
    Open,
    /// One call tries whether it works again; others wait for its result.
    Probing,
}

/// A failure or refusal of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderError {
    /// Category, such as `rate_limited`.
    pub category: String,
    /// Its text; missing when the call was another tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Time of the failure.
    pub at: String,
}

/// A name of a model that workers use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelAlias {
    /// Name of the section of the configuration.
    pub name: String,
    /// Whether a model can be called.
    pub live: bool,
    /// The reason why the first link cannot be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The provider whose rate limit holds up calls now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// The time until that limit allows a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_wait_ms: Option<u64>,
    /// Providers and models that are tried, in order.
    pub links: Vec<ModelLink>,
}

/// A model, or the offline methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelLink {
    /// `provider/model` or `offline`.
    pub link: String,
    /// `ready`, `no_key`, `key_refused` or `offline`.
    pub state: String,
    /// Whether its price is known; else the high default price is charged.
    pub price_known: bool,
}
