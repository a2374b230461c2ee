//! The only calls to model providers.
//!
//! A caller names an *alias* (`fast`). The alias has a chain of links (`openai/gpt-4o-mini`, `offline`), tried in
//! order. One provider is never asked twice for one call: the task's retry rules own that. What each link did is
//! recorded as a [`Hop`]. When the chain comes to `offline`, the gateway says so ([`Route::Offline`]) and the worker
//! runs the classical method that its file declares, or fails.
//!
//! There are two ways in. [`Gateway::complete`] gives a prompt worker one whole answer. [`Service::call`] is `/v1`
//! without the sockets, for scripts that hold a token: it adds money, replay, a cache and streams.
//!
//! - [`config`]: providers, aliases and prices as they stand in `kapelle.yaml`.
//! - [`gateway`]: the walk over a chain, for prompt workers.
//! - [`service`]: one call of a script, from its token to its last byte.
//! - `providers`: one file per provider behind one trait.
//! - [`wire`]: the format of the callers: requests, needs, errors, event streams, counts.
//! - [`money`]: the book of money that the gateway needs, as a trait with its promises, and one in memory.
//! - [`replay`]: the log of calls that the gateway needs, likewise; cache and single flight.
//! - [`access`], [`tokens`], [`mac`]: tokens of its own.
//! - `prompt_call`, `completion`: prompt workers, which need no token; `remote`: those on a worker host, which have one of its server.
//! - [`bypass`]: scripts that name a provider's address themselves.
//! - [`price`]: what a token costs, in whole nano-dollars.
//! - `rate`, `circuit_breakers`, `admission`: how much and how soon a provider may be asked, and who may.

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
pub mod wire;

pub use access::{Grant, TokenId, Tokens};
pub use admission::Admission;
pub use answer::{Answer, Finish, Hop, Route, Usage};
pub use clock::Clock;
pub use config::{ConfigError, GatewayConfig};
pub use error::GatewayError;
pub use gateway::{Gateway, Limits};
pub use prompt_call::PromptCall;
pub use remote::AttemptTokens;
pub use request::{ChatRequest, Message};
pub use secret::Secret;
pub use service::{Body, Reply, Service};
pub use status::{AliasStatus, LinkState, LinkStatus};
pub use tokens::{Issued, Scope, TokenIssuer};
pub use wire::Operation;
