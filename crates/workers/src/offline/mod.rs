//! Classical methods that answer where no model can be asked: pure functions of the text, one file each.
//!
//! They are counted and weighed words, not understanding; every answer of theirs is marked as degraded. All are
//! bounded: at most [`sentence::SENTENCES_MAX`] sentences of a text are looked at, each of bounded length.

pub mod analysis;
pub mod category;
pub mod keywords;
pub mod language;
mod method;
pub mod questions;
mod rank;
pub mod sentence;
pub mod sentiment;
pub mod summary;
mod taxonomy;
pub mod words;

pub use method::{Method, run};
