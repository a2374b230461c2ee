//! The worker host in Rust: claims tasks of a server, runs workers on them, and reports how they ended.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use kapelle_api::Client;
//! use kapelle_host::Host;
//!
//! # async fn example(worker: Arc<dyn kapelle_core::worker::Worker>) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:7863", "a key of that server")?;
//! let host = Host::builder(client).name("gpu box").slots(4).worker(worker).build()?;
//! // `host.handle()` ends it from elsewhere.
//! host.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Host`] takes what the server pushes on a stream, or claims by long polls where none gets through, and [`HostHandle`] ends it: attempts under way are finished, or released when asked twice.
//! - [`WorkerSet`] holds the workers; scripts come and go while the host runs (feature `scripts`).
//! - [`AttemptTokens`] holds the gateway tokens that came with the tasks, for prompt workers and scripts.

mod attempt;
mod attempt_tokens;
mod builder;
mod error;
mod event;
mod feed;
mod file_cache;
mod heart;
mod host;
mod registration;
mod reports;
mod running;
mod worker_set;

pub use attempt_tokens::AttemptTokens;
pub use builder::HostBuilder;
pub use error::HostError;
pub use event::HostEvent;
pub use host::{Host, HostHandle};
pub use worker_set::WorkerSet;
