//! Stubs for systems without supervision: scripts are supervised on Linux only, and every function here reports that.

#[path = "helper_process/launch.rs"]
mod launch;

use std::{io, path::PathBuf, process::ExitCode};

use tokio::net::unix::pipe::{Receiver, Sender};

use crate::machine::Exit;

pub use launch::{Allowance, Launch, LaunchError};

/// Verb under which the binary must call [`helper_main`].
pub const HELPER_VERB: &str = "__supervise";
/// Variable by which processes of a worker are known.
pub const MARK: &str = "KAPELLE_MARK";

const WHY: &str = "scripts are supervised on Linux only";

/// The helper, which does not exist on this system.
#[derive(Debug, Clone)]
pub struct Helper(std::convert::Infallible);

impl Helper {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn start(_program: impl Into<PathBuf>) -> io::Result<Helper> {
        Err(io::Error::new(io::ErrorKind::Unsupported, WHY))
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// Always.
    pub async fn spawn(&self, _launch: Launch) -> Result<Process, LaunchError> {
        Err(LaunchError::NoHelper(WHY.to_owned()))
    }
}

/// A process, which does not exist on this system.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Process {
    /// Handle that signals it.
    pub handle: Handle,
    /// Guard that ends it when dropped.
    pub guard: Guard,
    pub stdin: Sender,
    pub stdout: Receiver,
    pub stderr: Receiver,
}

/// Handle that signals a process.
#[derive(Debug, Clone)]
pub struct Handle(std::convert::Infallible);

impl Handle {
    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        0
    }

    /// Requests its end.
    pub fn terminate(&self) {}

    /// Ends it.
    pub fn kill(&self) {}

    /// Waits for its end.
    pub async fn exited(&mut self) -> Exit {
        Exit::default()
    }
}

/// Kills a process when dropped.
#[derive(Debug)]
pub struct Guard;

/// Returns zero: processes are not started here.
#[must_use = "who finds some should say so"]
pub fn sweep_leftovers() -> u32 {
    0
}

/// Reports that this system has no supervision.
#[must_use]
pub fn helper_main(_arguments: &[String]) -> ExitCode {
    ExitCode::FAILURE
}
