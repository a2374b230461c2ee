//! Checks on the source itself: sizes with ratchets, forbidden words, layout. The checks are the tests of this crate.
//!
//! What a check counts is in the module of its name; what is excused, and why, is in `exceptions.txt`.

pub mod exceptions;
pub mod functions;
pub mod source;

pub use exceptions::Exceptions;
pub use source::{Source, sources};
