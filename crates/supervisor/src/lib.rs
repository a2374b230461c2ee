//! The only place that starts, signals and reaps processes.
//!
//! [`LimitedChild`] runs one short-lived program under limits: memory, processor time, wall time, output, open files.
//! Whatever the child does, the caller gets an answer or an error that says which limit it hit, and nothing of the
//! child's process group is left behind.
//!
//! Linux enforces every limit. Other systems enforce wall time and output, and on Unix the group is still killed.

mod capture;
mod child;
mod error;
mod group;
mod limits;
mod spawner;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod own;

pub use child::{ChildInput, ChildOutput, LimitedChild};
pub use error::ChildError;
pub use limits::Limits;
#[cfg(unix)]
pub use own::raise_open_files;
