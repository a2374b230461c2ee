//! The real server with real worker hosts, killed, frozen and restarted while clients work: acknowledged work exists,
//! nothing is completed twice, and work in progress is not lost. The whole history is kept outside the server and
//! checked afterwards.
//!
//! `KAPELLE_HOST_ROUNDS` is the number of kills of the server (default 20), `KAPELLE_CRASH_SEED` the random seed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness ends where something is not as it should be")]

mod checker;
mod crash;
mod fleet;
mod history;
mod http;
mod leases;
mod load;
mod place;
