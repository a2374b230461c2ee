//! A reference interpreter of workflow runs: slow, obvious, and written from the format alone, so that the engine can
//! be compared with it.
//!
//! It shares the reader of definitions and the expression language with the engine, and no part of the machine that
//! runs them. A run is an explicit tree of nodes; after every event the whole tree is scanned again until nothing
//! changes. The answers of workers, and the order of concurrent events, come from outside.

mod advance;
mod ends;
mod model;
mod run;
mod values;

pub use model::{Address, End, Outer, Phase, Reason, Seen, Verdict, Waits};
pub use run::{Change, Ends, Order, Reference};
