//! The present state of everything, as it changes: one log of changes for all listeners. Each reads from it at its own
//! pace, and only its topics.
//!
//! Changes of a row between two reads are merged, so a listener gets at most one message a topic and moment, however fast
//! rows change. The log is bounded: a listener that falls behind it reads its topics again.

mod change_log;
mod delta;
mod feed;
mod rates;
mod texts;
mod topic;

pub(crate) use change_log::ChangeLog;
pub use feed::LiveFeed;
