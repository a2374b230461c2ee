//! Where Kapelle keeps its state: the only SQL.
//!
//! Rows are the truth. A turn of the engine is one [`Batch`], written whole or not at all; nothing the engine sends
//! anywhere may leave before [`Store::commit`] has returned. Every write names the revision it saw, so that a change
//! decided on a stale row is a [`Commit::Conflict`] and not a lost update.

mod batch;
mod contract;
mod error;
mod rows;

pub use batch::{Batch, JournalEntry, KeyReply, KeyRow, PayloadBody, RunWrite, TaskWrite, VersionRow};
pub use contract::{Commit, IdKind, Lane, Pruned, Reader, Retention, Store};
pub use error::StoreError;
pub use rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter};
