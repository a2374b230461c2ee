//! Leases of worker hosts: an attempt belongs to a host until its heartbeats stop or its time is over.

use kapelle_core::{
    Category, TaskError, TaskId, TenantId,
    mutant::{Mutant, planted},
    task::{Fail, Lease, Release, Report, Task, TaskState},
};
use kapelle_store::StoreError;

use super::{
    command::{self, Decide},
    part::{Due, Part},
    rows::Rows,
    runs::Answer,
    state::LoopState,
    tasks,
};
use crate::id_map::IdMap;

/// Time after its timeout in which an attempt may still be reported: the host ends it by itself and reports it, unless
/// it cannot.
const GRACE_MS: u64 = 2_000;

/// An attempt of a worker host, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteLease {
    pub(super) epoch: u32,
    /// Time after which the silent host is lost.
    pub(super) end: u64,
    /// Time after which the attempt is over, heartbeats or not.
    limit: u64,
}

/// Attempts of worker hosts, by task. Deadlines are on the monotonic clock and only in memory.
#[derive(Debug, Default)]
pub(super) struct RemoteLeases {
    leases: IdMap<TaskId, RemoteLease>,
    /// Leases of the current turn, with the earlier ones. Renewals are not rolled back: the host is alive.
    before: Vec<(TaskId, Option<RemoteLease>)>,
}

impl Part for RemoteLeases {
    fn forget(&mut self, _rows: &mut Rows) {
        while let Some((task, before)) = self.before.pop() {
            match before {
                Some(lease) => drop(self.leases.insert(task, lease)),
                None => drop(self.leases.remove(&task)),
            }
        }
    }

    fn committed(&mut self) {
        self.before.clear();
    }

    /// Returns the end of the first lease.
    fn next_due(&self) -> Due {
        Due { wall: None, steady: self.leases.values().map(|lease| lease.end).min() }
    }
}

impl RemoteLeases {
    /// An attempt was given to a host, or is found with one at a start: the host gets a full term.
    pub(super) fn give(&mut self, rows: &Rows, task: &Task, lease: &Lease) {
        let steady = rows.steady_ms;
        let timeout = task.policy.timeout.unwrap_or(rows.options.default_timeout).0;
        let left = timeout.saturating_sub(rows.now.since(lease.started_at).0);
        let end = steady + rows.options.lease.0;
        // A server that was away longer than the attempt's timeout has not learned its result.
        let limit = steady.saturating_add(left).saturating_add(GRACE_MS).max(steady + GRACE_MS);
        let lease = RemoteLease { epoch: lease.epoch, end: end.min(limit), limit };
        let before = self.leases.insert(task.id, lease);
        self.before.push((task.id, before));
    }

    /// A host is alive: its lease begins again.
    fn renew(&mut self, rows: &Rows, report: &Report) {
        let end = rows.steady_ms + rows.options.lease.0;
        match self.leases.get_mut(&report.task) {
            Some(lease) if lease.epoch == report.epoch => lease.end = end.min(lease.limit),
            _ => {
                if let Some(task) = rows.cache.task(report.task)
                    && let TaskState::Running(lease) = task.state
                {
                    self.give(rows, task, &lease);
                }
            }
        }
    }

    /// Removes an attempt whose end is committed.
    pub(super) fn end(&mut self, task: TaskId) {
        self.leases.remove(&task);
    }

    /// Returns the tasks of hosts, by id.
    fn tasks(&self) -> Vec<TaskId> {
        let mut ids: Vec<TaskId> = self.leases.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Returns the leases that are over, by task.
    fn over(&self, steady_ms: u64) -> Vec<(TaskId, RemoteLease)> {
        let over = self.leases.iter().filter(|(_, lease)| lease.end <= steady_ms);
        let mut over: Vec<_> = over.map(|(id, lease)| (*id, *lease)).collect();
        over.sort_unstable_by_key(|(id, _)| *id);
        over
    }
}

impl Decide for command::Heartbeat {
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<bool>> {
        heartbeat(state, self.tenant, &self.reports)
    }
}

impl Decide for command::Evict {
    fn decide(&self, state: &mut LoopState) -> Answer {
        evict(state, &self.hosts)
    }
}

/// A host is alive: its leases begin again. Nothing is written.
pub(super) fn heartbeat(state: &mut LoopState, tenant: TenantId, reports: &[Report]) -> Answer<Vec<bool>> {
    let mut alive = Vec::with_capacity(reports.len());
    for report in reports {
        let held = state.rows.load_for(report)?
            && state.rows.cache.task(report.task).is_some_and(|t| t.tenant == tenant && t.lease(report).is_ok());
        if held && !planted(Mutant::LeaseNotRenewed) {
            state.leases.renew(&state.rows, report);
        }
        alive.push(held);
    }
    Ok(Ok(alive))
}

/// Releases the attempts of removed hosts. Their tokens end with the leases.
pub(super) fn evict(state: &mut LoopState, hosts: &[u32]) -> Answer {
    for id in state.leases.tasks() {
        let lease = match state.rows.load(id)?.then(|| state.rows.cache.task(id)).flatten().map(|task| &task.state) {
            Some(TaskState::Running(lease)) if hosts.contains(&lease.host) => *lease,
            _ => continue,
        };
        let report = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
        let release = Release { report, ageing: state.rows.options.ageing };
        if let Some(Ok(event)) = state.rows.cache.task(id).map(|task| release.decide(task, state.rows.now)) {
            tasks::change(state, id, &event)?;
        }
    }
    Ok(Ok(()))
}

/// Ends the attempts whose hosts were silent or whose time is over. A lease leaves the list once that is
/// committed, not before: a turn that fails must find it again.
pub(super) fn reap_leases(state: &mut LoopState) -> Result<(), StoreError> {
    let steady = state.rows.steady_ms;
    for (id, remote) in state.leases.over(steady) {
        let lease = match state.rows.load(id)?.then(|| state.rows.cache.task(id)).flatten().map(|task| &task.state) {
            Some(TaskState::Running(lease)) if lease.host != 0 || planted(Mutant::StaleRescue) => *lease,
            _ => {
                // An attempt that this turn ended leaves the list with its commit.
                if !state.rows.cache.changed_tasks.contains_key(&id) {
                    state.leases.end(id);
                }
                continue;
            }
        };
        if planted(Mutant::ReapForgets) {
            state.leases.end(id);
        }
        if lease.epoch != remote.epoch && !planted(Mutant::StaleRescue) {
            // The lease on the list was granted in a turn that failed; the attempt that counts gets a full term.
            if let Some(task) = state.rows.cache.task(id).cloned() {
                state.leases.give(&state.rows, &task, &lease);
            }
            continue;
        }
        let report = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
        let error = lost(state, id, remote.limit <= steady);
        let fail = Fail { report, error, random: state.rows.random() };
        let decided = state.rows.cache.task(id).map(|task| fail.decide(task, state.rows.now));
        if let Some(Ok(event)) = decided {
            tasks::change(state, id, &event)?;
        }
    }
    Ok(())
}

/// Returns the error of a host's attempt that is over without a report.
pub(super) fn lost(state: &LoopState, id: kapelle_core::TaskId, out_of_time: bool) -> TaskError {
    if !out_of_time {
        return TaskError::new(Category::LeaseLost, "the worker was silent for longer than its lease");
    }
    let timeout =
        state.rows.cache.task(id).and_then(|task| task.policy.timeout).unwrap_or(state.rows.options.default_timeout);
    let message = format!("the attempt took longer than {} ms, and its host reported nothing", timeout.0);
    TaskError::new(Category::Timeout, message)
}
