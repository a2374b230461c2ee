//! Results of the workers, counted since the start.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_core::{
    Name, TenantId, Timestamp,
    task::{Task, TaskState},
};

/// Workers that are counted; names come from users, so their number has no bound of its own.
const WORKERS_MAX: usize = 10_000;

/// The results of one worker.
#[derive(Debug, Clone, Default)]
pub struct WorkerStats {
    pub succeeded: u64,
    pub failed: u64,
    /// Sum of the durations of successful attempts.
    pub busy_ms: u64,
    pub last_run: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    pub last_error: Option<Arc<str>>,
    /// Results of the last tasks, the newest in the lowest bit, 1 for a failure; and their number.
    recent: (u128, u32),
}

/// Upper bounds of the counts of a [`Histogram`], in milliseconds.
pub const BOUNDS_MS: [u64; 12] =
    [10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 3_600_000];
/// Names that have a histogram of their own; further ones share one.
const NAMES_MAX: usize = 100;
/// The name that the others share.
const OTHERS: &str = "others";

/// Durations, counted by length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Durations up to each bound, and above the one before.
    pub counts: [u64; BOUNDS_MS.len()],
    /// All durations.
    pub count: u64,
    /// The sum of all durations, in milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    fn add(&mut self, ms: u64) {
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
        if let Some(at) = BOUNDS_MS.iter().position(|bound| ms <= *bound) {
            self.counts[at] += 1;
        }
    }
}

/// Histograms by name.
type Histograms = BTreeMap<String, Histogram>;

fn add(to: &mut Histograms, name: &Name, ms: u64) {
    let name = if to.len() < NAMES_MAX || to.contains_key(name.as_str()) { name.as_str() } else { OTHERS };
    match to.get_mut(name) {
        Some(histogram) => histogram.add(ms),
        None => to.entry(name.to_owned()).or_default().add(ms),
    }
}

/// Tasks over which a failure rate is computed.
const RECENT: u32 = 100;

impl WorkerStats {
    fn remember(&mut self, failed: bool) {
        let (bits, count) = self.recent;
        let window = (1_u128 << RECENT) - 1;
        self.recent = (((bits << 1) | u128::from(failed)) & window, (count + 1).min(RECENT));
    }
}

/// The results of the workers.
#[derive(Debug, Default)]
pub struct Stats {
    by_worker: Mutex<HashMap<(TenantId, Name), WorkerStats>>,
    /// Waits by queue and durations by worker, of tasks that succeeded.
    times: Mutex<(Histograms, Histograms)>,
}

impl Stats {
    /// Counts the end of a task. Called by the loop: must be quick.
    pub fn ended(&self, task: &Task) {
        if let TaskState::Succeeded { started_at, ended_at, .. } = &task.state {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            add(&mut times.0, &task.queue, started_at.since(task.created_at).0);
            add(&mut times.1, &task.worker, ended_at.since(*started_at).0);
        }
        let mut by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        if by_worker.len() >= WORKERS_MAX {
            by_worker.clear();
        }
        let stats = by_worker.entry((task.tenant, task.worker.clone())).or_default();
        match &task.state {
            TaskState::Succeeded { started_at, ended_at, .. } => {
                stats.succeeded += 1;
                stats.remember(false);
                stats.busy_ms += ended_at.since(*started_at).0;
                stats.last_run = Some(*ended_at);
                stats.last_success = Some(*ended_at);
            }
            TaskState::Failed { error, ended_at, .. } => {
                stats.failed += 1;
                stats.remember(true);
                stats.last_run = Some(*ended_at);
                stats.last_error = Some(Arc::from(error.to_string()));
            }
            _ => {}
        }
    }

    /// Returns the results of a worker for a tenant.
    pub fn of(&self, tenant: TenantId, worker: &Name) -> WorkerStats {
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        by_worker.get(&(tenant, worker.clone())).cloned().unwrap_or_default()
    }

    /// Returns how many of a worker's last 100 tasks for each tenant failed, and the number of these tasks.
    pub fn recent(&self, worker: &Name) -> (u32, u32) {
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let of = by_worker.iter().filter(|((_, name), _)| name == worker).map(|(_, stats)| stats.recent);
        of.fold((0, 0), |(failed, ended), (bits, count)| (failed + bits.count_ones(), ended + count))
    }

    /// Returns how many tasks of a tenant succeeded, and how many failed.
    pub fn of_tenant(&self, tenant: TenantId) -> (u64, u64) {
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let own = by_worker.iter().filter(|((of, _), _)| *of == tenant);
        own.fold((0, 0), |(done, failed), (_, stats)| (done + stats.succeeded, failed + stats.failed))
    }

    /// Returns the waits by queue and the durations by worker, of tasks that succeeded.
    pub fn times(&self) -> (Histograms, Histograms) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the counts of all tenants together, by worker.
    pub fn totals(&self) -> Vec<(Name, u64, u64)> {
        let by_worker = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut totals: HashMap<Name, (u64, u64)> = HashMap::new();
        for ((_, name), stats) in by_worker.iter() {
            let total = totals.entry(name.clone()).or_default();
            total.0 += stats.succeeded;
            total.1 += stats.failed;
        }
        let mut totals: Vec<_> = totals.into_iter().map(|(name, (done, failed))| (name, done, failed)).collect();
        totals.sort_by(|a, b| a.0.cmp(&b.0));
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_by_length_and_names_are_bounded() {
        let mut all = Histograms::new();
        for ms in [10, 11, 3_600_000, 3_600_001] {
            add(&mut all, &Name::new("a"), ms);
        }
        let a = all["a"];
        assert_eq!((a.counts[0], a.counts[1], a.counts[11], a.count, a.sum_ms), (1, 1, 1, 4, 7_200_022));
        for at in 0..300 {
            add(&mut all, &Name::new(&format!("n{at}")), 1);
        }
        assert_eq!((all.len(), all[OTHERS].count), (NAMES_MAX + 1, 201));
    }
}
