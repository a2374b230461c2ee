//! The HTTP server: routes, access, worker hosts, live events. The only crate that knows axum.
//!
//! A connection is accepted by [`listener`], which bounds their number and their slowness. Each request passes the
//! [`gatekeeper`] (host, origin, credentials, permission, size) before its handler sees it. [`routes`] is the complete
//! table of requests, one line a route.

mod access_log;
mod auth;
mod body;
mod call;
mod connections;
mod console_routes;
mod exposition;
mod follow;
mod gatekeeper;
mod handlers;
mod held;
mod limits;
mod listener;
mod metrics;
mod notify;
mod openapi;
mod origin;
mod parameters;
mod port_owner;
mod problem;
mod query;
mod route;
mod routes;
mod schedule_routes;
mod server;
mod shares;
mod site;
mod stream;
mod strict;
mod subscription_routes;
mod transfer;
mod write_timeout;

pub use kapelle_app::{Permission, Role};
pub use limits::Limits;
pub use notify::{Notifier, State};
pub use route::{Route, Scope};
pub use routes::routes;
pub use server::{ADDRESS_FILE, Options, Server, ServerError};
