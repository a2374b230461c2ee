//! The durable store: one SQLite database in a folder, one file per noun.
//!
//! The writing connection belongs to the engine's loop. Readers have connections of their own, which see committed data
//! only and never hold a snapshot for long. A turn is one transaction; its writes are synced before
//! [`crate::Store::commit`] returns.

mod access;
mod answer;
mod attempt;
mod audit;
mod columns;
mod commit;
mod copy;
mod fault;
mod gate;
mod held;
mod hosted;
mod ids;
mod journal;
mod key;
mod ledger;
mod lock;
mod memo;
mod names;
mod open;
mod payload;
mod pool;
mod prepaid;
mod progress;
mod prune;
mod reader;
mod run;
mod schedule;
mod schema;
mod session;
mod spending;
mod store;
mod subscription;
mod task;
mod task_queries;
mod version;

pub(crate) use copy::copy_database;
pub use lock::{Holder, lock_holder};
pub use open::{IDS_SKIPPED, OpenOptions, sqlite_version};
pub use reader::SqliteReader;
pub use schema::SCHEMA;
pub use store::SqliteStore;
