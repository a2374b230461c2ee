//! The real server on a real socket: its answers and refusals, by caller.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

mod abuse;
mod access;
mod approvals;
mod artifacts;
mod calls;
mod console;
mod console_live;
mod console_reads;
mod dead;
mod description;
mod faces;
mod health;
mod host_stream;
mod host_stream_scenarios;
mod hostile;
mod hosts;
mod labels;
mod library_host;
mod library_host_scenarios;
mod lines;
mod live;
mod matrix;
mod models;
mod place;
mod rates;
mod relay;
mod results;
mod runs;
mod schedules;
mod scopes;
mod session;
mod shares;
mod spending;
mod tasks;
mod tenants;
mod texts;
mod times;
mod workflows;
