//! The store in memory: for tests and the simulation. Several handles may share one state, as several servers share one
//! database, and each handle can be told to fail in the ways of a database.

mod apply;
mod fault;
mod ledger;
mod progress;
mod prune;
mod reader;
mod schedule;
mod spending;
mod state;
mod store;
mod subscription;

pub use fault::Fault;
pub use reader::MemReader;
pub use store::MemStore;
