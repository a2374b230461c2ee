//! When a process is started again, and how long it may take to start and to stop.

/// Which ends make a process start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// None.
    Never,
    /// Those other than with exit code zero.
    #[default]
    OnFailure,
    /// All.
    Always,
}

/// The rules of one process. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which ends make it start again.
    pub restart: Restart,
    /// How many times in a row it is started again after a failure.
    pub tries: u32,
    /// The wait before the first of these.
    pub delay_ms: u64,
    /// Each further wait is so many times the one before.
    pub multiplier: u32,
    /// The longest wait.
    pub max_delay_ms: u64,
    /// Having run for so long, its earlier failures count no more.
    pub stable_ms: u64,
    /// How long it may take to become ready.
    pub start_ms: u64,
    /// How long it may take to stop before it is killed.
    pub stop_ms: u64,
    /// It tells when it is ready; else it is taken for ready once it runs.
    pub tells_ready: bool,
    /// It is started anew so long after each start, once it has ended well.
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
    /// The wait before the next try after so many failures in a row.
    #[must_use]
    pub fn wait_ms(&self, failures: u32) -> u64 {
        let factor = u64::from(self.multiplier).saturating_pow(failures.saturating_sub(1));
        self.delay_ms.saturating_mul(factor).min(self.max_delay_ms)
    }
}
