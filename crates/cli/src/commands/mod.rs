//! One file a verb.

pub mod approvals;
pub mod audit;
pub mod budgets;
pub mod completions;
pub mod config;
pub mod cost;
pub mod dead;
pub mod doctor;
pub mod host;
pub mod init;
pub mod keys;
pub mod logs;
pub mod man;
pub mod queues;
pub mod resume;
pub mod run;
pub mod runs;
pub mod serve;
pub mod status;
pub mod submit;
pub mod tasks;
pub mod top;
pub mod version;
pub mod workers;
pub mod workflows;
