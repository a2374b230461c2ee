//! The real server with real worker hosts, killed, frozen and started again while clients work: what was acknowledged is
//! there, nothing is completed twice, and work in flight is not thrown away. The history of it all is kept outside the
//! server and checked afterwards.
//!
//! `KAPELLE_HOST_ROUNDS` says how often the server is killed (20 times when it does not), `KAPELLE_CRASH_SEED` where
//! chance begins.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness ends where something is not as it should be")]

mod checker;
mod crash;
mod fleet;
mod history;
mod http;
mod leases;
mod load;
mod place;
