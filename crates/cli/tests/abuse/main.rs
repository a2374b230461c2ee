//! The real binary among malicious clients, thousands at a time: their effect on everybody else, and their cost in
//! memory. The responses to a single one of them are tested in `crates/server/tests`.
//!
//! `KAPELLE_ABUSE_CONNECTIONS` is the number of slow connections (default 10,000).

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
