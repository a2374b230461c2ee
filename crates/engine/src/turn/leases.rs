//! Leases of worker hosts: how long an attempt stays theirs, kept alive by heartbeats, and never longer than its time.

use kapelle_core::{
    Category, TaskError, TaskId, TenantId,
    mutant::{Mutant, planted},
    task::{Fail, Lease, Release, Report, Task, TaskState},
};
use kapelle_store::StoreError;

use super::{
    command::{self, Decide},
    runs::Answer,
    state::LoopState,
};

/// How long after its time an attempt may still be reported: the host ends it by itself and says so, unless it cannot.
const GRACE_MS: u64 = 2_000;

/// An attempt of a worker host, on the steady clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteLease {
    pub(super) epoch: u32,
    /// Silent until then, the host is taken for lost.
    pub(super) end: u64,
    /// Heartbeats or not, the attempt is over then.
    limit: u64,
}

impl Decide for command::Heartbeat {
    fn decide(&self, state: &mut LoopState) -> Answer<Vec<bool>> {
        state.heartbeat(self.tenant, &self.reports)
    }
}

impl Decide for command::Evict {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.evict(&self.hosts)
    }
}

impl LoopState {
    /// An attempt was given to a host, or is found with one at a start: the host gets a full term.
    pub(super) fn lease(&mut self, task: &Task, lease: &Lease) {
        let steady = self.scratch.steady_ms;
        let timeout = task.policy.timeout.unwrap_or(self.options.default_timeout).0;
        let left = timeout.saturating_sub(self.scratch.now.since(lease.started_at).0);
        let end = steady + self.options.lease.0;
        // A server that was away longer than the attempt may take has not heard what came of it.
        let limit = steady.saturating_add(left).saturating_add(GRACE_MS).max(steady + GRACE_MS);
        self.leases.insert(task.id, RemoteLease { epoch: lease.epoch, end: end.min(limit), limit });
    }

    /// A host is alive: its leases begin anew. Nothing is written.
    fn heartbeat(&mut self, tenant: TenantId, reports: &[Report]) -> Answer<Vec<bool>> {
        let mut alive = Vec::with_capacity(reports.len());
        for report in reports {
            let held = self.load_for(report)?
                && self.cache.task(report.task).is_some_and(|t| t.tenant == tenant && t.lease(report).is_ok());
            if held && !planted(Mutant::LeaseNotRenewed) {
                self.renew(report);
            }
            alive.push(held);
        }
        Ok(Ok(alive))
    }

    /// Releases the attempts of hosts that may work no more. Their tokens end with the leases.
    fn evict(&mut self, hosts: &[u32]) -> Answer {
        let mut ids: Vec<TaskId> = self.leases.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let lease = match self.load(id)?.then(|| self.cache.task(id)).flatten().map(|task| &task.state) {
                Some(TaskState::Running(lease)) if hosts.contains(&lease.host) => *lease,
                _ => continue,
            };
            let report = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
            let release = Release { report, ageing: self.options.ageing };
            if let Some(Ok(event)) = self.cache.task(id).map(|task| release.decide(task, self.scratch.now)) {
                self.change(id, &event)?;
            }
        }
        Ok(Ok(()))
    }

    fn renew(&mut self, report: &Report) {
        let end = self.scratch.steady_ms + self.options.lease.0;
        match self.leases.get_mut(&report.task) {
            Some(lease) if lease.epoch == report.epoch => lease.end = end.min(lease.limit),
            _ => {
                let found = self.cache.task(report.task).cloned();
                if let Some(task) = found
                    && let TaskState::Running(lease) = task.state
                {
                    self.lease(&task, &lease);
                }
            }
        }
    }

    /// Takes back the attempts whose hosts were silent or whose time is over. A lease leaves the list once that is
    /// committed, not before: a turn that fails must find it again.
    pub(super) fn reap_leases(&mut self) -> Result<(), StoreError> {
        let steady = self.scratch.steady_ms;
        let over = self.leases.iter().filter(|(_, lease)| lease.end <= steady);
        let mut lost: Vec<_> = over.map(|(id, lease)| (*id, *lease)).collect();
        lost.sort_unstable_by_key(|(id, _)| *id);
        for (id, remote) in lost {
            let lease = match self.load(id)?.then(|| self.cache.task(id)).flatten().map(|task| &task.state) {
                Some(TaskState::Running(lease)) if lease.host != 0 || planted(Mutant::StaleRescue) => *lease,
                _ => {
                    // What this turn ended leaves the list with its commit.
                    if !self.cache.changed_tasks.contains_key(&id) {
                        self.leases.remove(&id);
                    }
                    continue;
                }
            };
            if planted(Mutant::ReapForgets) {
                self.leases.remove(&id);
            }
            if lease.epoch != remote.epoch && !planted(Mutant::StaleRescue) {
                // What is on the list was given out in a turn that failed; the attempt that counts gets a full term.
                if let Some(task) = self.cache.task(id).cloned() {
                    self.lease(&task, &lease);
                }
                continue;
            }
            let report = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
            let error = self.lost(id, remote.limit <= steady);
            let fail = Fail { report, error, random: (self.random)() };
            let decided = self.cache.task(id).map(|task| fail.decide(task, self.scratch.now));
            if let Some(Ok(event)) = decided {
                self.change(id, &event)?;
            }
        }
        Ok(())
    }

    /// Why an attempt of a host is over without its report.
    fn lost(&self, id: kapelle_core::TaskId, out_of_time: bool) -> TaskError {
        if !out_of_time {
            return TaskError::new(Category::LeaseLost, "the worker was silent for longer than its lease");
        }
        let timeout = self.cache.task(id).and_then(|task| task.policy.timeout).unwrap_or(self.options.default_timeout);
        let message = format!("the attempt took longer than {} ms, and its host reported nothing", timeout.0);
        TaskError::new(Category::Timeout, message)
    }
}
