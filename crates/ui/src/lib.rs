//! The files of the web console, embedded into the program.

mod file;

pub use file::{File, find};
