//! Resource limits of a child.

use std::time::Duration;

/// Resource limits of one child. The defaults suit a reader of untrusted documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Address space in bytes; an allocation beyond it fails inside the child.
    pub memory: u64,
    /// Processor time, rounded up to whole seconds.
    pub cpu: Duration,
    /// Wall time, from start to exit.
    pub wall: Duration,
    /// Limit of bytes on its standard output.
    pub output: usize,
    /// Limit of open files at one time.
    pub open_files: u64,
    /// Size of the largest file the child may write; zero forbids writing files.
    pub file_size: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 512 << 20,
            cpu: Duration::from_secs(30),
            wall: Duration::from_secs(30),
            output: 64 << 20,
            open_files: 64,
            file_size: 0,
        }
    }
}
