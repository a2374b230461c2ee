//! One file for each row.

mod backlog;
mod batch;
mod chain;
mod choice;
mod fanout;
mod gateway;
mod http;
mod latency;
pub mod memory;
mod payload;
mod recovery;
mod singles;
mod steps;
mod wide;

pub use choice::chosen;
