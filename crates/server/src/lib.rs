//! The HTTP server: routes, access, worker hosts, live events. The only place that knows axum.
//!
//! A connection is accepted by [`listener`], which bounds how many there are and how slow they may be. Each request
//! passes the [`front`] door (host, origin, credentials, permission, size) before its handler sees it. What may be asked
//! at all stands in [`routes`], one line a route.

mod app;
mod auth;
mod body;
mod call;
mod connections;
mod cursor;
mod follow;
mod front;
mod guarded;
mod handlers;
mod held;
mod holder;
mod hosts;
mod hub;
mod limits;
mod listener;
mod metrics;
mod notify;
mod numbers;
mod openapi;
mod origin;
mod problem;
mod progress;
mod query;
mod route;
mod routes;
mod server;
mod serving;
mod shares;
mod shown;
mod standing;
mod stats;
mod stream;
mod strict;
mod transfer;
mod turns;

pub use auth::Role;
pub use limits::Limits;
pub use notify::{Notifier, State};
pub use route::{Permission, Route, Scope};
pub use routes::routes;
pub use server::{ADDRESS_FILE, Options, Server, ServerError};
