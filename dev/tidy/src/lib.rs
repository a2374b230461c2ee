//! Checks on the source itself: sizes with ratchets, forbidden words, layout. The checks are the tests of this crate.
//!
//! The module of a check's name says what it counts. `exceptions.txt` lists what is excused and why; `style.txt` holds
//! the counts of faults in English.

pub mod blocks;
pub mod exceptions;
pub mod functions;
pub mod source;
pub mod style;

pub use exceptions::Exceptions;
pub use source::{Source, sources};
