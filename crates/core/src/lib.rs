//! The rules of Kapelle, pure: no clock, no randomness, no input or output.
//!
//! Time, ids and randomness are passed in as values. Every aggregate has one form: `decide` may refuse and never
//! mutates, `evolve` is total and mutates, and all effects outside follow from the state alone.

pub mod account;
pub mod approval;
pub mod balance;
pub mod budget;
pub mod cache;
pub mod definition;
pub mod estimate;
pub mod expr;
pub mod failure;
pub mod id;
pub mod label;
pub mod limit;
pub mod middleware;
pub mod money;
pub mod mutant;
pub mod name;
pub mod number;
pub mod payload;
pub mod plain;
pub mod retry;
pub mod retry_budget;
pub mod run;
pub mod schedule;
pub mod size;
pub mod spending;
pub mod sse;
pub mod subscription;
pub mod task;
pub mod task_rate;
pub mod tenants;
pub mod time;
pub mod weight;
pub mod worker;
pub mod yaml;

pub use account::{Account, AccountKind};
pub use failure::{Category, TaskError};
pub use id::{CallId, DeliveryId, RunId, TaskId, TenantId};
pub use label::{Labels, Requires};
pub use money::Money;
pub use name::Name;
pub use payload::{Payload, PayloadId};
pub use tenants::Tenants;
pub use time::{DurationMs, Timestamp};
