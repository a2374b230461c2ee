//! The state of Kapelle: the only SQL.
//!
//! Rows are the truth. A turn of the engine is one [`Batch`], written whole or not at all; the engine sends nothing
//! before [`Store::commit`] has returned. Every write names the revision it read, so that a change decided on a stale
//! row is a [`Commit::Conflict`] and not a lost update.
//!
//! Two stores pass one conformance suite: [`SqliteStore`], which keeps everything in one folder, and [`MemStore`],
//! which keeps everything in memory and can be told to fail.

mod access;
mod audit;
mod batch;
mod blobs;
#[cfg(test)]
mod conformance;
mod contract;
pub mod disk;
mod error;
pub mod history;
mod hosted;
mod ledger;
mod mem;
mod memo;
pub mod private;
mod progress;
mod rows;
mod schedule;
mod session;
mod spending;
mod sqlite;
mod subscription;

pub use access::{AccessKey, AccessWrite, EVERY, KeyScope};
pub use audit::{Act, AuditHead, AuditRow};
pub use batch::{
    AnswerRow, Batch, Gate, GateKind, JournalEntry, KeyReply, KeyRow, KeyWrite, PayloadBody, RunWrite, TaskWrite,
    VersionRow,
};
pub use blobs::{Blobs, NewBlob};
pub use contract::{Commit, Deletion, HeldPlace, IdKind, Lane, Reader, Retention, Store};
pub use error::StoreError;
pub use hosted::{ArtifactRow, GivenRow, HostWorkerRow, HostWorkerWrite};
pub use ledger::{
    AccountRow, AccountWrite, BudgetRow, CallAnswer, CallEnd, CallFilter, CallRow, CallState, CallWrite, KeptRow,
    LedgerReader, LedgerStore, LedgerWrites, PrepaidRow, PrepaidWrite,
};
pub use mem::{Fault, MemReader, MemStore};
pub use memo::{MemoRow, MemoWrite};
pub use progress::{Attention, ProgressReader, Replays, StepProgress, StepTotals};
pub use rows::{LaneCount, Page, RunFilter, RunRow, TaskFilter};
pub use schedule::{FIRES_KEPT, FireRow, ScheduleReader, ScheduleRow, ScheduleStore, ScheduleWrite};
pub use session::{EndedTask, SessionRow};
pub use spending::{HOURS_KEPT_DAYS, Span, Spend, SpendFilter, SpendRow};
pub use sqlite::{Holder, IDS_SKIPPED, OpenOptions, SCHEMA, SqliteReader, SqliteStore, lock_holder, sqlite_version};
pub use subscription::{
    DeliveryRow, DeliveryState, DeliveryWrite, SubscriptionReader, SubscriptionRow, SubscriptionStore,
    SubscriptionWrite,
};
