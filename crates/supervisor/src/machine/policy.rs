//! Restart rules of a process, and its time limits for start and stop.

/// Ends after which a process is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// It is never restarted.
    Never,
    /// Ends with another exit code than zero.
    #[default]
    OnFailure,
    /// All ends.
    Always,
}

/// Rules of one process. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Ends after which it is restarted.
    pub restart: Restart,
    /// Limit of restarts in a row after a failure.
    pub tries: u32,
    /// Wait before the first of these restarts.
    pub delay_ms: u64,
    /// Factor of each further wait.
    pub multiplier: u32,
    /// Longest wait.
    pub max_delay_ms: u64,
    /// Run time after which its earlier failures are forgotten.
    pub stable_ms: u64,
    /// Time limit until it is ready.
    pub start_ms: u64,
    /// Time limit of a stop, after which it is killed.
    pub stop_ms: u64,
    /// Whether it reports its readiness; otherwise it is ready once it runs.
    pub tells_ready: bool,
    /// Interval between starts, for a process that succeeded.
    pub every_ms: Option<u64>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            restart: Restart::OnFailure,
            tries: 3,
            delay_ms: 5_000,
            multiplier: 2,
            max_delay_ms: 300_000,
            stable_ms: 60_000,
            start_ms: 30_000,
            stop_ms: 10_000,
            tells_ready: false,
            every_ms: None,
        }
    }
}

impl Policy {
    /// Returns the wait before the next restart after that many failures in a row.
    #[must_use]
    pub fn wait_ms(&self, failures: u32) -> u64 {
        let factor = u64::from(self.multiplier).saturating_pow(failures.saturating_sub(1));
        self.delay_ms.saturating_mul(factor).min(self.max_delay_ms)
    }
}
