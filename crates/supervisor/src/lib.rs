//! The only place that starts, signals and reaps processes.
//!
//! [`LimitedChild`] runs one short-lived program under limits: memory, processor time, wall time, output, open files.
//! In every case the caller gets an answer or an error that names the reached limit, and no process of the child's
//! group is left behind.
//!
//! [`ChildProgram`] is a program that works beside this one until it is asked to end.
//!
//! [`machine`] is the life of one long-lived process as rules; [`helper_process`] is the process that starts, watches
//! and ends them (Linux only).
//!
//! Linux enforces every limit. Other systems enforce wall time and output, and on Unix the group is still killed.

mod capture;
mod child;
mod child_program;
mod error;
mod group;
#[cfg(target_os = "linux")]
pub mod helper_process;
#[cfg(not(target_os = "linux"))]
#[path = "unsupported.rs"]
pub mod helper_process;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
pub mod machine;
#[cfg(unix)]
mod rlimit;
mod spawner;

pub use child::{ChildInput, ChildOutput, LimitedChild};
pub use child_program::{Ask, ChildProgram, ChildProgramEnd};
pub use error::ChildError;
pub use limits::Limits;
#[cfg(unix)]
pub use rlimit::{close_files, raise_open_files};
