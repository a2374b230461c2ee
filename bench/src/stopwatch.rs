//! The bench's own clock.

use std::time::{Duration, Instant};

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a stopwatch.
    #[expect(clippy::disallowed_methods, reason = "measuring time is what a bench is for")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Returns the seconds since the start.
    pub fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }

    /// Returns the milliseconds since the start.
    pub fn ms(self) -> f64 {
        self.seconds() * 1e3
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
