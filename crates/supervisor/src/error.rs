//! Failures of a child, as its caller needs to distinguish them.

use std::time::Duration;

/// Failure of a child.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum ChildError {
    /// It reached its time limit and was killed.
    #[error("the process was stopped after {} s of {}", limit.as_secs_f64(), if *cpu { "processor time" } else { "running" })]
    TimedOut {
        /// The limit it reached.
        limit: Duration,
        /// Whether the limit is processor time; otherwise it is wall time.
        cpu: bool,
    },
    /// It reached its memory limit. An estimate: from its last words, or because another process killed it.
    #[error("the process needs more than {} MiB of memory", limit >> 20)]
    OutOfMemory {
        /// Limit in bytes.
        limit: u64,
    },
    /// It wrote more than allowed to its standard output.
    #[error("the process wrote more than {} KiB of output", limit >> 10)]
    TooMuchOutput {
        /// Limit in bytes.
        limit: usize,
    },
    /// It ended by a signal or with a code other than zero.
    #[error("the process ended by {}{}", ending(*signal, *code), tail(stderr_tail))]
    Crashed {
        /// The signal that ended it.
        signal: Option<i32>,
        /// The code it ended with.
        code: Option<i32>,
        /// End of its standard error.
        stderr_tail: String,
    },
    /// It could not be started.
    #[error("cannot start `{program}`: {source}")]
    CannotStart {
        program: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// Communication with it failed without its fault.
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
