//! Long-lived children, behind one helper process.
//!
//! ```text
//!   server ---- socket: spawn, terminate, kill / spawned, exited ---- helper ---- worker ---- its children
//!      \________________ pipes of the worker's standard streams ________________/
//! ```
//!
//! The helper is the same binary, started before the server has threads. It has one thread, is the subreaper of
//! everything below it, and starts every worker from that thread, so that each dies with it. When the socket ends,
//! because the server ended in any way, it kills everything and ends itself. When the helper is killed, the system
//! kills the workers; the server kills the leftovers and starts another helper.
//!
//! A process belongs to a worker if any of four conditions holds: it descends from the worker, it is in its session or
//! group, it is in its cgroup, or it carries its mark ([`MARK`]) in its environment. A process that was left behind
//! below the helper and carries no mark of a living worker is killed at once.

mod cgroup;
mod client;
mod connection;
mod family;
mod launch;
mod leftovers;
mod mark;
mod proc;
mod process;
mod serve;
mod spawn;
mod sweep;
mod wire;

pub use client::Helper;
pub use launch::{Allowance, Launch, LaunchError};
pub use leftovers::sweep_leftovers;
pub use mark::MARK;
pub use process::{Guard, Handle, Process};
pub use serve::{HELPER_VERB, helper_main};
