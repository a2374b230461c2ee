//! How a child can fail, as its caller needs to tell apart.

use std::time::Duration;

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It ran longer than allowed and was killed.
    #[error("the process was stopped after {} s of {}", limit.as_secs_f64(), if *cpu { "processor time" } else { "running" })]
    TimedOut {
        /// The limit it reached.
        limit: Duration,
        /// Whether the limit is processor time; otherwise it is time on the wall.
        cpu: bool,
    },
    /// It asked for more memory than allowed. A best guess: by its last words, or because somebody else killed it.
    #[error("the process needs more than {} MiB of memory", limit >> 20)]
    OutOfMemory {
        /// The limit in bytes.
        limit: u64,
    },
    /// It wrote more to its standard output than allowed.
    #[error("the process wrote more than {} KiB of output", limit >> 10)]
    TooMuchOutput {
        /// The limit in bytes.
        limit: usize,
    },
    /// It ended by a signal or with a code other than zero.
    #[error("the process ended by {}{}", ending(*signal, *code), tail(stderr_tail))]
    Crashed {
        /// The signal that ended it.
        signal: Option<i32>,
        /// The code it ended with.
        code: Option<i32>,
        /// The end of what it wrote to its standard error.
        stderr_tail: String,
    },
    /// It could not be started.
    #[error("cannot start `{program}`: {source}")]
    CannotStart {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Talking to it failed in a way that is not its fault.
    #[error("lost contact with the process: {0}")]
    Io(#[from] std::io::Error),
}

fn ending(signal: Option<i32>, code: Option<i32>) -> String {
    match (signal, code) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "an unknown cause".to_owned(),
    }
}

fn tail(stderr: &str) -> String {
    let last: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    last.last().map_or_else(String::new, |line| format!(": {line}"))
}
