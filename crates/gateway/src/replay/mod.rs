//! Answers that are already there: those recorded for a task, those in the cache, and those on their way to another.

mod cache;
mod call_log;
mod fingerprint;
mod flight;
mod left;
mod memory;

pub(crate) use cache::Cache;
pub use call_log::{CallLog, LogError, Record, Recorded, TaskKey};
pub use fingerprint::Fingerprint;
pub(crate) use flight::{Flights, Guard, Landed, Role};
pub(crate) use left::{Again, Left};
pub use memory::MemoryLog;
