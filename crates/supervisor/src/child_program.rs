//! A program that runs beside this one on the same terminal, such as a worker host for another queue.

use std::{ffi::OsString, io, path::Path, process::Stdio};

use tokio::process::{Child, Command};

use crate::{
    error::ChildError,
    group::Group,
    spawner::{self, Started},
};

/// A running program that leads a group of its own, so that what the terminal sends goes to this process alone, which
/// passes it on. When this process is killed the system ends it with SIGTERM (Linux). Dropping it kills it with
/// everything it has started.
#[derive(Debug)]
pub struct ChildProgram {
    child: Child,
    group: Group,
    id: u32,
}

/// The end of a child program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildProgramEnd {
    /// Its exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A request to a child program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// End gracefully: SIGTERM.
    End,
    /// End as from a terminal: SIGINT.
    Interrupt,
}

impl ChildProgram {
    /// Starts a program with this process's environment, output and folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(program: &Path, args: &[OsString]) -> Result<ChildProgram, ChildError> {
        let cannot = |source: io::Error| ChildError::CannotStart { program: program.display().to_string(), source };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(target_os = "linux")]
        crate::linux::follow(&mut command);
        let Started { child, group } = spawner::spawn(command).await.map_err(cannot)?;
        let id = child.id().unwrap_or_default();
        Ok(ChildProgram { child, group, id })
    }

    /// Returns its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits for its end. Leftovers in its group are killed too.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub async fn ended(&mut self) -> io::Result<ChildProgramEnd> {
        let status = self.child.wait().await?;
        self.group.kill();
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Ok(ChildProgramEnd { code: status.code(), signal })
    }

    /// Sends a request. A program that was waited for is sent nothing: its process id may be another's by now.
    pub fn ask(&self, what: Ask) {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let signal = match what {
                Ask::End => Signal::TERM,
                Ask::Interrupt => Signal::INT,
            };
            // Known only until it is reaped, which happens in `ended` alone.
            let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            if let Some(id) = id {
                // The only expected error is that it has just ended.
                let _ = kill_process(id, signal);
            }
        }
        #[cfg(not(unix))]
        let _ = what;
    }
}

impl std::fmt::Display for ChildProgramEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("an unknown cause"),
        }
    }
}
