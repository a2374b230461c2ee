//! A program to start, and its resource limits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Resource limits of a worker with all its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Resident memory in bytes. `None`: unlimited.
    pub memory: Option<u64>,
    /// Limit of processes at one time.
    pub processes: u32,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { memory: Some(1 << 30), processes: 256 }
    }
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments. Never secrets: every user of the machine can read them.
    pub args: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub folder: PathBuf,
    /// Resource limits.
    pub allowance: Allowance,
}

/// Reason why a program was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The system refused.
    #[error("{0}")]
    Refused(String),
    /// The helper is gone and cannot be restarted.
    #[error("the process that starts workers has ended: {0}")]
    NoHelper(String),
}
