//! The real binary among clients that mean no good, thousands at a time: what they do to everybody else, and what they
//! cost in memory. What one such client is answered is tested in `crates/server/tests`.
//!
//! `KAPELLE_ABUSE_CONNECTIONS` says how many slow connections there are (10,000 when it does not).

#![expect(clippy::unwrap_used, reason = "a harness ends where something is not as it should be")]

#[path = "../served/http.rs"]
mod http;
#[path = "../served/place.rs"]
#[expect(dead_code, reason = "shared with the crash harness, which uses more of it")]
mod place;

mod bodies;
mod crowd;
mod slow;
mod sockets;
