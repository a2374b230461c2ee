//! The workers with effects against real servers, folders and programs, with bad input and with crashes.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod clear_temp;
#[cfg(feature = "code")]
mod code;
mod command;
mod health;
mod http;
#[cfg(feature = "mail")]
mod mail;
mod place;
mod server;
mod storage;
