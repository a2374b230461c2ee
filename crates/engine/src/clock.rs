//! The only clock. All other code gets the time passed in.

use std::sync::atomic::{AtomicI64, Ordering};

use kapelle_core::Timestamp;

/// A clock.
pub trait Clock: Send + Sync {
    /// Returns the wall clock, for people and for times that survive a restart.
    fn now(&self) -> Timestamp;

    /// Returns a monotonic clock, in milliseconds from any beginning: for leases and time limits.
    fn steady_ms(&self) -> u64;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    fn default() -> SystemClock {
        SystemClock { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the home of the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    fn steady_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub struct ManualClock {
    ms: AtomicI64,
}

impl ManualClock {
    /// Makes a clock that shows that time.
    #[must_use]
    pub fn at(now: Timestamp) -> ManualClock {
        ManualClock { ms: AtomicI64::new(now.0) }
    }

    /// Sets the time.
    pub fn set(&self, now: Timestamp) {
        self.ms.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.ms.load(Ordering::SeqCst))
    }

    fn steady_ms(&self) -> u64 {
        u64::try_from(self.ms.load(Ordering::SeqCst)).unwrap_or(0)
    }
}
