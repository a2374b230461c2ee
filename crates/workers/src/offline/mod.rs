//! Classical methods that answer where no model can be asked: pure functions of the text, one file each.
//!
//! They are counted and weighed words, not understanding; every answer of theirs is marked as degraded. All are
//! bounded: at most `sentence::SENTENCES_MAX` sentences of a text are looked at, each of bounded length. A build without the
//! feature `offline` has none of them.

#[cfg(feature = "offline")]
pub mod analysis;
#[cfg(feature = "offline")]
pub mod category;
#[cfg(feature = "offline")]
pub mod keywords;
#[cfg(feature = "offline")]
pub mod language;
mod method;
#[cfg(feature = "offline")]
pub mod questions;
#[cfg(feature = "offline")]
mod rank;
#[cfg(feature = "offline")]
pub mod sentence;
#[cfg(feature = "offline")]
pub mod sentiment;
#[cfg(feature = "offline")]
pub mod summary;
#[cfg(feature = "offline")]
mod taxonomy;
#[cfg(feature = "offline")]
pub mod words;

#[cfg(feature = "offline")]
mod run;
#[cfg(not(feature = "offline"))]
#[path = "run_absent.rs"]
mod run;

pub use method::Method;
pub use run::run;
