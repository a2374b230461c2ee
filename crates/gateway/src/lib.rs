//! The only calls to model providers.
//!
//! A caller names an *alias* (`fast`). The alias has a chain of links (`openai/gpt-6-luna`, `offline`), tried in
//! order. A provider is never called twice for one call: retries belong to the task's retry rules. The result of each
//! failed link is recorded as a [`Hop`]. When the chain reaches `offline`, the gateway says so ([`Route::Offline`]) and
//! the worker runs the classical method that its file declares, or fails.
//!
//! Every call takes one pipeline (`service::pipeline`): grant, record, cache, calls in flight, money, chain, journal. It
//! has two doors. [`Gateway::complete_for`] returns one whole answer to a prompt worker, whose grant needs no token.
//! [`Service::call`] is `/v1` without the sockets, for scripts that hold a token; it adds streams.
//!
//! - [`config`]: providers, aliases and prices as `kapelle.yaml` has them.
//! - [`gateway`]: the state that all calls share.
//! - `chain_call`: one call over the links of a chain.
//! - [`service`]: the pipeline, and the door of scripts, from a token to the last byte.
//! - `providers`: one file per provider behind one trait.
//! - [`wire`]: the format of the callers: requests, needs, errors, event streams, counts.
//! - [`money`]: the ledger that the gateway needs, as a trait with its promises, and one in memory.
//! - [`replay`]: the log of calls that the gateway needs, as a trait; cache and single flight.
//! - [`access`], [`tokens`], [`mac`]: the gateway's own tokens.
//! - `prompt_call`, `completion`: the door of prompt workers; `remote`: prompt workers on a worker host, which use a
//!   token of its server.
//! - [`bypass`]: detection of provider addresses in scripts.
//! - [`price`]: prices of tokens, in whole nano-dollars.
//! - `watched`: the text of calls while it is written, for those who watch a task.
//! - `rate`, `circuit_breakers`, `admission`: when a provider may be called, and how often.

#![cfg_attr(
    not(feature = "http"),
    allow(unused_imports, unused_variables, unreachable_code, reason = "without HTTP there is no answer to read")
)]

pub mod access;
mod admission;
pub mod answer;
pub mod bypass;
mod chain_call;
mod circuit_breakers;
pub mod clock;
mod completion;
pub mod config;
mod config_check;
pub mod error;
pub mod gateway;
#[cfg(not(feature = "http"))]
mod http_absent;
pub mod mac;
pub mod money;
pub mod price;
mod prompt_call;
mod providers;
mod rate;
mod remote;
pub mod replay;
pub mod request;
mod routes;
pub mod secret;
pub mod sends;
pub mod service;
pub mod status;
pub mod tokens;
mod upstream_response;
mod watched;
pub mod wire;

#[cfg(not(feature = "http"))]
use http_absent as transport;
#[cfg(feature = "http")]
use reqwest as transport;

pub use access::{Grant, TokenId, Tokens};
pub use admission::Admission;
pub use answer::{Answer, Finish, Hop, Route, Usage};
pub use circuit_breakers::{Circuit, LastError, LinkHealth, RECENT_MINUTES, Recent};
pub use clock::Clock;
pub use config::{ConfigError, GatewayConfig};
pub use error::GatewayError;
pub use gateway::{Gateway, Limits};
pub use prompt_call::PromptCall;
pub use rate::RateLeft;
pub use remote::AttemptTokens;
pub use request::{ChatRequest, Message, estimate_tokens};
pub use secret::Secret;
pub use service::{Body, Reply, Service};
pub use status::{AliasStatus, LinkState, LinkStatus, ModelStatus, ProviderStatus};
pub use tokens::{Issued, Scope, TokenIssuer};
pub use watched::WatchedTasks;
pub use wire::Operation;
