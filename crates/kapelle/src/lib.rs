//! Durable tasks and workflows over AI workers, in one folder and one process.
//!
//! ```
//! use kapelle::{Kapelle, serde_json::json};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let folder = std::env::temp_dir().join(format!("kapelle-front-page-{}", std::process::id()));
//! let kapelle = Kapelle::open(&folder).await?;
//!
//! // A worker is a name and an async function from JSON to JSON.
//! kapelle.register("shout", async |input| Ok(json!({ "text": input["text"].as_str().unwrap_or("").to_uppercase() })))?;
//!
//! // Once `submit` has returned, the task survives a crash.
//! let task = kapelle.submit("shout", json!({ "text": "durable" })).await?;
//! assert_eq!(task.wait().await?.output, json!({ "text": "DURABLE" }));
//!
//! // A workflow is a graph of steps; without a model `summarizer` answers offline and says so.
//! let run = kapelle.start(
//!     "name: hello\n\
//!      inputs: { type: object, required: [text], properties: { text: { type: string } } }\n\
//!      steps:\n\
//!      \x20 loud: { worker: shout, with: { text: '${{ inputs.text }}' } }\n\
//!      outputs: { said: '${{ steps.loud.output.text }}' }\n",
//!     json!({ "text": "hello" }),
//! ).await?;
//! assert_eq!(run.wait().await?.outputs, json!({ "said": "HELLO" }));
//!
//! // A name that nobody has registered is an error that says so.
//! let error = kapelle.submit("shoutt", json!({})).await.unwrap_err();
//! assert_eq!(error.to_string(), "unknown worker `shoutt`: did you mean `shout`?");
//! kapelle.close().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # })
//! # }
//! ```

mod builder;
mod context;
mod function;
mod kapelle;
pub mod middleware;
mod pool;
mod register;
mod run;
mod run_events;
mod task;
mod worker_error;

pub use builder::Builder;
pub use context::Context;
pub use function::function;
pub use kapelle::Kapelle;
#[cfg(feature = "scripts")]
pub use kapelle_app::startable_scripts;
pub use kapelle_app::{
    App, AppError, BudgetsConfig, Caller, Change, Config, ConfigFile, ConfigProblem, Error, Findings, HealthCheck,
    HealthConfig, InProcess, Inspector, LogConfig, LogFormat, LogLevel, Manifest, Measure, QueueConfig, Restored,
    RetentionConfig, SESSION_FILE, SecretConfig, Template, TenantBudgets, WEBHOOKS_KEY_FILE, Watch, WebhooksConfig,
    Workers, back_up, check_inputs, config_reference, hosted_workers, load, trail, trail_check,
};
pub use run::{Run, RunResult};
pub use run_events::RunEvents;
pub use task::{Submit, Task, TaskResult};
pub use worker_error::{WorkerError, WorkerResult};

pub use kapelle_api as api;
pub use kapelle_core as core;
#[cfg(feature = "documents")]
pub use kapelle_documents as documents;
pub use kapelle_engine as engine;
pub use kapelle_gateway as gateway;
#[cfg(feature = "host")]
pub use kapelle_host as host;
#[cfg(feature = "scripts")]
pub use kapelle_scripts as scripts;
#[cfg(feature = "server")]
pub use kapelle_server as server;
pub use kapelle_store as store;
#[cfg(any(feature = "documents", feature = "scripts"))]
pub use kapelle_supervisor as supervisor;
pub use kapelle_workers as workers;
pub use serde_json;

pub use kapelle_core::{
    Category, Money, RunId, TaskError, TaskId,
    balance::{Balancer, Load},
    cache::CacheRule,
    limit::{KeyLimit, WhenFull},
    middleware::{Call, Metadata, Middleware, Next},
    worker::{Output, Provenance, TaskContext, Worker, WorkerSpec},
};
