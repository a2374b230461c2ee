//! The built-in health checks: the disk, the write-ahead log, and the clock. Each appears only while it fails.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_api::{CheckResult, HealthStatus};
use kapelle_core::{Timestamp, size};
use kapelle_engine::{Clock, Engine, Notice};
use kapelle_store::disk::{self, Usage};

use crate::app::App;

/// Free bytes below which the disk is nearly full.
const LOW: u64 = 256 << 20;
/// Length in bytes above which the write-ahead log is too long: a reader keeps it from being copied.
const LONG: u64 = 512 << 20;
/// Difference in milliseconds between the two clocks, within a second, that is a jump.
const JUMP_MS: u64 = 10_000;
/// Time for which a jump is shown, in milliseconds.
const SHOWN_MS: u64 = 600_000;

/// The state behind the built-in checks.
#[derive(Debug, Default)]
pub(crate) struct BuiltInChecks {
    /// Whether a write was refused, as a flag that costs nothing to read.
    full: AtomicBool,
    refusal: Mutex<Refusal>,
    seen: Mutex<Seen>,
}

/// Refused writes since the disk is full.
#[derive(Debug, Default)]
struct Refusal {
    since_ms: u64,
    count: u64,
}

/// The latest measurements.
#[derive(Debug, Default)]
struct Seen {
    usage: Usage,
    /// Both clocks at the latest look, in milliseconds: the wall clock and the monotonic one.
    clocks: Option<(i64, u64)>,
    /// The latest jump of the wall clock in milliseconds, and its time on the monotonic clock.
    jump: Option<(i64, u64)>,
}

impl BuiltInChecks {
    /// Records that writes were refused because the disk is full. The first one is logged.
    fn refused(&self, folder: &Path, count: u64, steady_ms: u64) {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.count += count;
        if !self.full.swap(true, Ordering::AcqRel) {
            refusal.since_ms = steady_ms;
            tracing::error!(
                "the disk that holds {} is full: changes are refused until there is room",
                folder.display()
            );
        }
    }

    /// Records that writes succeed again, and logs how many were refused.
    fn has_room(&self, folder: &Path, steady_ms: u64) {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if self.full.swap(false, Ordering::AcqRel) {
            let Refusal { since_ms, count } = std::mem::take(&mut *refusal);
            let seconds = steady_ms.saturating_sub(since_ms).div_ceil(1_000);
            let folder = folder.display();
            tracing::warn!("the disk that holds {folder} has room again: {count} changes were refused in {seconds} s");
        }
    }

    /// Measures the disk and compares the clocks. May wait for the disk.
    fn look(&self, folder: &Path, (now, steady_ms): (Timestamp, u64)) {
        let usage = disk::usage(folder);
        if self.full.load(Ordering::Acquire) && disk::takes_writes(folder) {
            self.has_room(folder, steady_ms);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.usage = usage;
        if let Some((wall, steady)) = seen.clocks {
            let passed = i64::try_from(steady_ms.saturating_sub(steady)).unwrap_or(i64::MAX);
            let jump = now.0.saturating_sub(wall).saturating_sub(passed);
            if jump.unsigned_abs() > JUMP_MS {
                tracing::warn!("the clock of the system jumped by {} s", jump / 1_000);
                seen.jump = Some((jump, steady_ms));
            }
        }
        seen.clocks = Some((now.0, steady_ms));
    }

    /// Returns the failing checks.
    fn failing(&self, steady_ms: u64) -> Vec<CheckResult> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let free = seen.usage.free();
        let left = free.map_or_else(|| "an unknown number of bytes".to_owned(), size::in_words);
        let check = |name: &str, status, value: f64, reason: String| {
            Some(CheckResult { name: name.to_owned(), status, value, reason })
        };
        let value = free.unwrap_or(0) as f64;
        let disk = if self.full.load(Ordering::Acquire) {
            check("disk", HealthStatus::Critical, value, format!("the disk is full, changes are refused; {left} free"))
        } else if free.is_some_and(|free| free < LOW) {
            check("disk", HealthStatus::Warning, value, format!("the disk is nearly full; {left} free"))
        } else {
            None
        };
        let log = (seen.usage.log > LONG).then_some(seen.usage.log).and_then(|log| {
            let reason = format!("the write-ahead log has {}; a reader that never ends keeps it", size::in_words(log));
            check("log", HealthStatus::Warning, log as f64, reason)
        });
        let jump = seen.jump.filter(|(_, at)| steady_ms.saturating_sub(*at) <= SHOWN_MS).and_then(|(jump, _)| {
            let seconds = jump / 1_000;
            check("clock", HealthStatus::Warning, seconds as f64, format!("the clock jumped by {seconds} s"))
        });
        [disk, log, jump].into_iter().flatten().collect()
    }
}

/// Records the turns that a full disk refuses.
pub(crate) fn note_refusals(built_in: &Arc<BuiltInChecks>, engine: &Engine, (folder, clock): (&Path, Arc<dyn Clock>)) {
    let (built_in, folder) = (Arc::clone(built_in), folder.to_owned());
    engine.listen(Box::new(move |notice| {
        if let Notice::Full(count) = notice {
            built_in.refused(&folder, *count, clock.steady_ms());
        }
    }));
}

impl App {
    /// Records that a request was refused because the disk is full. Commands are counted by the loop itself.
    pub fn note_full_disk(&self) {
        if !self.memory.built_in.full.load(Ordering::Acquire) {
            self.memory.built_in.refused(&self.folder, 1, self.steady_ms());
        }
    }

    /// Returns the latest measurement of the disk.
    #[must_use]
    pub fn disk_usage(&self) -> Usage {
        self.memory.built_in.seen.lock().unwrap_or_else(PoisonError::into_inner).usage
    }

    /// Returns the built-in checks that fail.
    pub(crate) fn failing_built_in(&self) -> Vec<CheckResult> {
        self.memory.built_in.failing(self.steady_ms())
    }

    /// Looks at the disk and the clocks, on a thread that may wait.
    pub(crate) async fn look_at_built_in(self: &Arc<Self>) {
        let app = Arc::clone(self);
        let look = move || app.memory.built_in.look(&app.folder, (app.now(), app.steady_ms()));
        // A look that panicked is repeated a second later.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

#[cfg(test)]
mod tests {
    use kapelle_store::disk::Space;

    use super::*;

    fn words(built_in: &BuiltInChecks, steady_ms: u64) -> Vec<(String, HealthStatus)> {
        built_in.failing(steady_ms).into_iter().map(|check| (check.name, check.status)).collect()
    }

    #[test]
    fn a_full_disk_is_critical_until_a_write_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let built_in = BuiltInChecks::default();
        built_in.seen.lock().unwrap().usage.space = Some(Space { total: LOW, used: 0, free: LOW });
        assert!(words(&built_in, 0).is_empty());
        built_in.refused(folder.path(), 3, 1_000);
        built_in.refused(folder.path(), 1, 2_000);
        assert_eq!(words(&built_in, 2_000), [("disk".to_owned(), HealthStatus::Critical)]);
        built_in.look(folder.path(), (Timestamp(0), 3_000));
        assert!(!words(&built_in, 3_000).iter().any(|(_, status)| *status == HealthStatus::Critical));
        built_in.seen.lock().unwrap().usage = Usage::default();
        built_in.refused(&folder.path().join("absent"), 1, 4_000);
        built_in.look(&folder.path().join("absent"), (Timestamp(1_000), 4_000));
        assert_eq!(words(&built_in, 4_000)[0].1, HealthStatus::Critical, "a trial that fails proves nothing");
    }

    #[test]
    fn a_jump_of_the_clock_is_shown_for_ten_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let built_in = BuiltInChecks::default();
        for (wall, steady) in [(0, 0), (1_000, 1_000), (3_602_000, 2_000), (3_603_000, 3_000)] {
            built_in.look(folder.path(), (Timestamp(wall), steady));
        }
        let clock = |steady_ms| built_in.failing(steady_ms).into_iter().find(|check| check.name == "clock");
        assert_eq!(clock(3_000).unwrap().reason, "the clock jumped by 3600 s");
        assert!(clock(2_000 + SHOWN_MS + 1).is_none());
    }
}
