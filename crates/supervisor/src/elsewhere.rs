//! The helper where it cannot be: scripts are supervised on Linux only, and everything else says so.

#[path = "keeping/launch.rs"]
mod launch;

use std::{io, path::PathBuf, process::ExitCode};

use tokio::net::unix::pipe::{Receiver, Sender};

use crate::machine::Exit;

pub use launch::{Allowance, Launch, LaunchError};

/// The verb under which the binary must call [`helper_main`].
pub const HELPER_VERB: &str = "__supervise";
/// The variable by which processes of a worker are known.
pub const MARK: &str = "KAPELLE_MARK";

const WHY: &str = "scripts are supervised on Linux only";

/// The helper, which there is none of here.
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

/// A process, which there is none of here.
#[derive(Debug)]
pub struct Process {
    /// What signals it.
    pub handle: Handle,
    /// Ends it when dropped.
    pub guard: Guard,
    /// What it reads.
    pub stdin: Sender,
    /// What it writes.
    pub stdout: Receiver,
    /// Where it complains.
    pub stderr: Receiver,
}

/// What signals a process.
#[derive(Debug, Clone)]
pub struct Handle(std::convert::Infallible);

impl Handle {
    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        0
    }

    /// Asks it to end.
    pub fn terminate(&self) {}

    /// Ends it.
    pub fn kill(&self) {}

    /// Waits for its end.
    pub async fn exited(&mut self) -> Exit {
        Exit::default()
    }
}

/// Ends a process when dropped.
#[derive(Debug)]
pub struct Guard;

/// Nothing was left behind where nothing was started.
#[must_use = "who finds some should say so"]
pub fn sweep_leftovers() -> u32 {
    0
}

/// Says that it cannot.
#[must_use]
pub fn helper_main(_arguments: &[String]) -> ExitCode {
    ExitCode::FAILURE
}
