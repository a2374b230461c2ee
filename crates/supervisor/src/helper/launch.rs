//! What to start, and what it may use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a worker with all its processes may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Resident memory in bytes; nothing: as much as there is.
    pub memory: Option<u64>,
    /// Processes at once.
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
    /// The program, as a path from the root.
    pub program: PathBuf,
    /// Its arguments. Never secrets: everybody on the machine can read them.
    pub args: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What it may use.
    pub allowance: Allowance,
}

/// Why a program was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The system refused.
    #[error("{0}")]
    Refused(String),
    /// The helper is gone and cannot be started again.
    #[error("the process that starts workers is gone: {0}")]
    NoHelper(String),
}
