//! The handlers, one file a noun.

pub mod approvals;
pub mod artifacts;
pub mod audit;
pub mod budgets;
pub mod dead;
pub mod events;
pub mod export;
pub mod health;
pub mod host_duplex;
pub mod hosts;
pub mod keys;
pub mod links;
pub mod live;
pub mod models;
pub mod openapi;
pub mod queues;
pub mod results;
pub mod runs;
pub mod schedules;
pub mod scripts;
pub mod sessions;
pub mod subscriptions;
pub mod tasks;
pub mod ui;
pub mod workers;
pub mod workflows;
