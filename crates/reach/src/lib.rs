//! Workers with effects outside of Kapelle. Each is a kind that a file of `workers/` configures.
//!
//! - [`Http`]: requests to hosts that the owner allows, with checked addresses.
//! - [`Storage`]: files below one root.
//! - [`Command`]: one fixed program, without a shell.
//! - [`HealthCheck`]: whether services answer.
//! - [`ClearTemp`]: the deletion of expired files of one folder.
//! - `CodeImprovement`: a report on a source tree, with the feature `code`.
//! - `EmailDispatcher`: mail, with the feature `mail`.
//!
//! [`Secrets`] resolves `${secret:NAME}` of settings at the moment of use. [`EffectLog`] remembers effects that must not
//! happen twice.

mod address;
mod answer;
mod clear_temp;
#[cfg(feature = "code")]
mod code;
mod command;
mod effect_log;
mod faults;
mod health_check;
mod hosts;
mod http;
#[cfg(feature = "mail")]
mod mail;
mod object_key;
mod outbound;
mod reach;
mod request;
mod secrets;
mod settings;
mod storage;
#[cfg(unix)]
mod tree;
#[cfg(not(unix))]
#[path = "tree_absent.rs"]
mod tree;
mod webhook;

pub use clear_temp::ClearTemp;
#[cfg(feature = "code")]
pub use code::CodeImprovement;
pub use command::Command;
pub use effect_log::{Begun, EffectLog, Ticket};
pub use health_check::{HealthCheck, OwnHealth};
pub use http::Http;
#[cfg(feature = "mail")]
pub use mail::EmailDispatcher;
pub use reach::{Now, Reach};
pub use secrets::{Lookup, SecretSource, Secrets};
pub use storage::Storage;
pub use webhook::{Sent, Webhooks};
