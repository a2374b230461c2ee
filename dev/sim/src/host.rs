//! Worker hosts: they claim, send heartbeats and report, and at times fail to.

use std::sync::Arc;

use kapelle_core::{Name, TenantId, task::Report};
use kapelle_engine::turn::{ClaimFilter, ClaimedTask, Reported, command};

use crate::{
    net::{Asked, Told},
    plan::{LEASE_MS, ON_HOSTS},
    world::World,
};

/// A host and its attempts.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pub(crate) slots: usize,
    pub(crate) tasks: Vec<Held>,
    pub(crate) paused_until: u64,
    pub(crate) next_beat: u64,
    pub(crate) next_claim: u64,
}

/// An attempt of a host.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) report: Report,
    pub(crate) ends_at: u64,
    send_at: u64,
    reported: Reported,
}

impl World {
    pub(crate) fn hosts_act(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].paused_until > self.steady_ms {
                continue;
            }
            if !self.calm && self.rng.chance(self.plan.faults.pause) {
                self.hosts[host].paused_until = self.steady_ms + LEASE_MS / 2 + self.rng.below(3 * LEASE_MS);
                continue;
            }
            let server = host % self.servers.len();
            let server = if self.rng.chance(100) { self.rng.place(self.servers.len()) } else { server };
            self.host_reports(host, server);
            self.host_beats(host, server);
            self.host_claims(host);
        }
    }

    /// Sends reports again until they are answered.
    fn host_reports(&mut self, host: usize, server: usize) {
        let now = self.steady_ms;
        for at in 0..self.hosts[host].tasks.len() {
            let held = &mut self.hosts[host].tasks[at];
            if held.ends_at <= now && held.send_at <= now {
                held.send_at = now + 1_000;
                let (report, reported) = (held.report, held.reported.clone());
                let asked = Asked::Report(Some(host), report, Told::of(&reported));
                self.send(server, asked, command::Report { tenant: TenantId::DEFAULT, report, reported });
            }
        }
    }

    fn host_beats(&mut self, host: usize, server: usize) {
        let now = self.steady_ms;
        if self.hosts[host].tasks.is_empty() || self.hosts[host].next_beat > now {
            return;
        }
        self.hosts[host].next_beat = now + LEASE_MS / 3;
        let reports: Arc<[Report]> = self.hosts[host].tasks.iter().map(|held| held.report).collect();
        self.send(
            server,
            Asked::Beat(host, Arc::clone(&reports)),
            command::Heartbeat { tenant: TenantId::DEFAULT, reports },
        );
    }

    fn host_claims(&mut self, host: usize) {
        let Host { slots, tasks, next_claim, .. } = &self.hosts[host];
        let free = slots.saturating_sub(tasks.len());
        if free == 0 || *next_claim > self.steady_ms {
            return;
        }
        self.hosts[host].next_claim = self.steady_ms + if self.calm { 1_000 } else { 300 };
        let workers: Arc<[Name]> = ON_HOSTS.iter().map(|name| Name::new(name)).collect();
        let wanted = ClaimFilter::new(TenantId::DEFAULT, workers);
        let server = self.rng.place(self.servers.len());
        let most = 1 + self.rng.place(free) as u32;
        // Without a random number, so that kept seeds mean what they did.
        let late = most.is_multiple_of(2);
        self.send(server, Asked::Claim(host), command::Claim { host: host as u32 + 1, wanted, most, late });
    }

    /// Gives tasks to a host; when the answer is lost, no host works on them.
    pub(crate) fn claimed(&mut self, host: usize, tasks: Vec<ClaimedTask>, deaf: bool) -> Result<(), String> {
        for task in tasks {
            self.stored_lease(task.id, &task.lease, host as u32 + 1)?;
            if deaf {
                continue;
            }
            let (took, reported) = self.draw_attempt(4_000);
            let report = Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce };
            let ends_at = self.steady_ms + took;
            self.hosts[host].tasks.push(Held { report, ends_at, send_at: 0, reported });
        }
        Ok(())
    }

    /// Handles the answer to a heartbeat: valid leases restart, attempts with other leases are dropped.
    pub(crate) fn beaten(&mut self, host: usize, reports: &[Report], alive: &[bool], deaf: bool) {
        let zombie = !self.calm && self.rng.chance(self.plan.faults.zombie);
        for (report, alive) in reports.iter().zip(alive) {
            if *alive {
                self.disk.lock().signs.insert(report.task, (report.epoch, self.steady_ms));
            } else if !deaf && !zombie {
                self.hosts[host].tasks.retain(|held| held.report != *report);
            }
        }
    }

    /// Returns the time of the next action of a healthy host.
    pub(crate) fn host_next(&self) -> Option<u64> {
        let next = |held: &Held| held.ends_at.max(held.send_at);
        let hosts = self.hosts.iter().filter(|host| !host.tasks.is_empty());
        hosts.flat_map(|host| host.tasks.iter().map(next).chain([host.next_beat])).min()
    }
}
