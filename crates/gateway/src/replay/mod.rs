//! Answers without a call: recorded for a task, cached, or in flight for another caller.

mod cache;
mod call_log;
mod cursor;
mod fingerprint;
mod flight;
mod memory;
mod source;

pub(crate) use cache::{Cache, Key as CacheKey};
pub use call_log::{CallLog, LogError, Record, Recorded, TaskKey};
pub(crate) use cursor::{Replay, ReplayCursor, ReplaySource};
pub use fingerprint::Fingerprint;
pub(crate) use flight::{Flights, Guard, Landed, Role};
pub use memory::MemoryLog;
pub(crate) use source::Source;
