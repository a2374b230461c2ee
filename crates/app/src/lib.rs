//! The application layer: every use case once, for every interface.
//!
//! An interface (the library, the HTTP server, the command line) makes a [`Caller`] from its authentication, and calls
//! a method of [`App`] with a request of `kapelle-api`. The method authorises, validates, fills in defaults, builds the
//! command of the engine, has it audited in the same commit, and answers in types of `kapelle-api` or with an
//! [`AppError`]. Interfaces only choose a status, an exit code or an exception.
//!
//! One noun, one file: `tasks`, `runs`, `approvals`, `queues`, `workers`, `scripts`, `workflows`, `budgets`, `calls`,
//! `dead_letters`, `schedules`, `subscriptions`, `artifacts`, `keys`, `audit`, `health`, `events`, `hosts`.

mod app;
mod app_error;
mod approval_links;
mod approvals;
mod artifacts;
mod at_rest;
mod audit;
#[cfg(feature = "reach")]
mod audit_processor;
#[cfg(feature = "reach")]
mod audit_report;
mod backup;
mod backup_manifest;
mod batch_check;
mod budget_config;
mod budgets;
mod bulk;
mod caller;
mod calls;
mod catalog;
mod config;
mod config_file;
mod config_reference;
mod cost_span;
mod cost_sums;
mod counts;
mod cursor;
mod dead_letters;
#[cfg(feature = "reach")]
mod delivery_loop;
#[cfg(feature = "scripts")]
mod described;
mod details;
mod disk;
mod error;
mod estimates;
mod events;
mod explain;
mod file_schedules;
mod filters;
#[cfg(feature = "scripts")]
mod fleet;
mod folder_key;
#[cfg(feature = "reach")]
mod goal_tracker;
#[cfg(feature = "reach")]
mod goal_watcher;
#[cfg(feature = "reach")]
mod goals;
mod graph_view;
mod health;
mod health_checks;
mod health_config;
mod history;
mod host_ids;
mod host_registry;
mod host_stream;
mod hosts;
mod idempotency;
mod in_process;
mod inspection;
mod keyring;
mod keys;
mod ledger;
mod live;
mod log_config;
mod machine;
mod measures;
#[cfg(feature = "reach")]
mod memory_fold;
#[cfg(feature = "reach")]
mod memory_sync;
#[cfg(feature = "reach")]
mod memos;
#[cfg(not(feature = "scripts"))]
mod no_scripts;
mod open;
#[cfg(feature = "reach")]
mod own_kind;
mod pause;
mod prepaid_journal;
mod prepaid_pool;
mod progress;
mod providers;
mod queues;
mod rates;
#[cfg(feature = "reach")]
mod reach;
mod recorded_rerun;
mod reports;
mod restore;
mod results;
mod run_export;
mod run_graph;
mod run_items;
mod run_start;
mod run_view;
mod runs;
mod schedule_view;
mod schedules;
#[cfg(feature = "scripts")]
mod scripts;
mod search;
mod secret_config;
mod secrets;
mod session;
mod sessions;
mod settings;
mod shortages;
#[cfg(feature = "reach")]
mod signing;
mod submission;
mod subscriptions;
mod tasks;
mod template;
mod to_api;
mod tokens;
pub mod trail;
pub mod trail_check;
#[cfg(feature = "reach")]
mod training_request;
mod turns;
mod waiting;
mod watch;
mod watched_tasks;
mod webhook_config;
mod worker_names;
mod worker_stats;
mod workers;
mod workflow_files;
mod workflows;

pub use app::App;
pub use app_error::AppError;
pub use approvals::OpenedLink;
pub use artifacts::StoredFile;
pub use at_rest::read;
pub use backup::back_up;
pub use backup_manifest::{Listed, MANIFEST, Manifest};
pub use budget_config::{BudgetsConfig, TenantBudgets};
pub use caller::{Caller, Permission, Role};
pub use config::{Config, ConfigProblem, QueueConfig, RetentionConfig};
pub use config_file::ConfigFile;
pub use config_reference::{ConfigKey, config_keys, config_reference};
#[cfg(feature = "scripts")]
pub use described::startable as startable_scripts;
pub use error::Error;
pub use events::{Entry, RunEvents, Start, cursor as event_cursor};
pub use health_config::{HealthCheck, HealthConfig, Measure};
pub use host_stream::HostStream;
pub use in_process::InProcess;
pub use inspection::{Findings, Inspector};
pub use keyring::{Identity, Keyring};
pub use live::LiveFeed;
pub use log_config::{LogConfig, LogFormat, LogLevel};
pub use measures::{BudgetUse, Measures, ModelTotals, QueueDepth};
pub use open::{Environment, Parts, Workers, open};
pub use restore::{Restored, restore};
pub use results::ResultStream;
pub use run_export::ExportFrom;
#[cfg(feature = "scripts")]
pub use scripts::line_of as describe_line;
pub use secret_config::SecretConfig;
pub use secrets::{TOKEN_FILE, digest, fresh, hex, mark, token};
pub use session::SESSION_FILE;
pub use settings::Settings;
pub use subscriptions::WEBHOOKS_KEY_FILE;
pub use tasks::Watched;
pub use template::Template;
pub use to_api::time as rfc3339;
pub use turns::{Turn, Turns};
pub use watch::{Change, Watch};
pub use webhook_config::WebhooksConfig;
pub use worker_stats::{BOUNDS_MS, Histogram};
pub use workers::hosted_workers;
pub use workflow_files::{check_inputs, load};

pub use kapelle_engine::Place as TextPlace;
