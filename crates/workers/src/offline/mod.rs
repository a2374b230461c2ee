//! Classical methods that answer without a model: pure functions of the text, one file each.
//!
//! They count and weigh words and understand nothing; each of their answers is marked as degraded. All are bounded: at
//! most `sentence::SENTENCES_MAX` sentences of a text are read, each of bounded length. A build without the feature
//! `offline` leaves them out.

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
