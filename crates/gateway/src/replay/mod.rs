//! Answers that are already there: those recorded for a task, those in the cache, and those on their way to another.

mod cache;
mod call_log;
mod cursor;
mod fingerprint;
mod flight;
mod memory;

pub(crate) use cache::Cache;
pub use call_log::{CallLog, LogError, Record, Recorded, TaskKey};
pub(crate) use cursor::{ReplayCursor, ReplaySource};
pub use fingerprint::Fingerprint;
pub(crate) use flight::{Flights, Guard, Landed, Role};
pub use memory::MemoryLog;
