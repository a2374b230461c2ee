//! Results of the workers, counted since the start.

use std::{
    collections::HashMap,
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
}

impl Stats {
    /// Counts the end of a task. Called by the loop: must be quick.
    pub fn ended(&self, task: &Task) {
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
