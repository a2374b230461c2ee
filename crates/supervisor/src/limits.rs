//! What a child may use.

use std::time::Duration;

/// The limits of one child. The defaults suit a reader of untrusted documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Address space in bytes; an allocation beyond it fails inside the child.
    pub memory: u64,
    /// Processor time, rounded up to whole seconds.
    pub cpu: Duration,
    /// Time on the wall, from start to exit.
    pub wall: Duration,
    /// Bytes the child may write to its standard output.
    pub output: usize,
    /// Files the child may have open at once.
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
