//! Ends of a process.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Reason why a process was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It used more memory than its limit, in bytes.
    Memory(u64),
    /// It had more processes than its limit.
    Processes(u32),
    /// It was not ready in time.
    NotReady,
    /// The helper that watched it ended.
    HelperLost,
}

/// End of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Exit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Reason why it was ended from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Reason why it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Processes that it left behind and that were killed with it.
    #[serde(default)]
    pub swept: u32,
}

impl Exit {
    /// Makes the end of a process that could not be started.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Exit {
        Exit { refused: Some(message.into()), ..Exit::default() }
    }

    /// Makes the end of a process that was ended for that reason.
    #[must_use]
    pub fn because(cause: Cause) -> Exit {
        Exit { cause: Some(cause), ..Exit::default() }
    }

    /// Tells whether it succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && self.cause.is_none()
    }

    /// Returns one word for programs: `oom`, `processes`, `not_ready`, `helper_lost`, `refused`, `signal`, `exit`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (&self.cause, &self.refused, self.signal) {
            (Some(Cause::Memory(_)), ..) => "oom",
            (Some(Cause::Processes(_)), ..) => "processes",
            (Some(Cause::NotReady), ..) => "not_ready",
            (Some(Cause::HelperLost), ..) => "helper_lost",
            (None, Some(_), _) => "refused",
            (None, None, Some(_)) => "signal",
            (None, None, None) => "exit",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, &self.refused) {
            (Some(Cause::Memory(limit)), _) => return write!(f, "it used more than {} MiB of memory", limit >> 20),
            (Some(Cause::Processes(limit)), _) => return write!(f, "it had more than {limit} processes"),
            (Some(Cause::NotReady), _) => return f.write_str("it was not ready in time"),
            (Some(Cause::HelperLost), _) => return f.write_str("its watching process ended"),
            (None, Some(message)) => return write!(f, "it cannot be started: {message}"),
            (None, None) => {}
        }
        match (self.signal, self.code) {
            (Some(signal), _) => write!(f, "signal {signal}{}", name(signal)),
            (None, Some(code)) => write!(f, "exit code {code}"),
            (None, None) => f.write_str("it ended"),
        }
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        2 => " (SIGINT)",
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
