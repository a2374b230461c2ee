//! A data folder for one user: how files are made, and how a folder that is open to others is closed.
//!
//! - [`file`]: files that only their owner can read.
//! - [`folder`]: the folder is made, inspected and closed.

mod file;
mod folder;

pub(crate) use file::explain_link;
pub use file::{at_own_place, options, read_small};
pub use folder::{Look, look, make_dir, prepare};
