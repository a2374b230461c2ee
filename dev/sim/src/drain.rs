//! The second phase: faults stop, and everything must end.

use kapelle_core::{Name, Payload, TenantId, task::Task};
use kapelle_engine::turn::{Command, command};
use kapelle_store::GateKind;

use crate::{
    disk::Disk,
    host::Host,
    laws,
    net::Asked,
    plan::{Faults, WORKERS},
    rng::Rng,
    world::{Story, World},
};

/// Steps within which everything must have ended.
const STEPS_MAX: u32 = 3_000;
/// Interval of answers to waiting steps, in steps.
const HELPED_EVERY: u32 = 20;
/// Longest advance of the clock without a check, in milliseconds.
const WAIT_MAX: u64 = 4 * 3_600_000;

impl World {
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        self.note("calm".to_owned());
        self.calm = true;
        self.disk.lock().set_faults(Faults::default(), Rng::new(0));
        if self.hosts.is_empty() {
            self.hosts.push(Host { slots: 2, ..Host::default() });
        }
        self.hosts.iter_mut().for_each(|host| host.paused_until = 0);
        self.servers_act()?;
        for server in 0..self.servers.len() {
            for (queue, options) in self.plan.options.queues.clone() {
                let command = command::LimitQueue { queue: queue.clone(), slots: options.slots };
                self.send(server, Asked::Nobody, command);
                self.send(server, Asked::Nobody, resume(GateKind::Queue, queue));
            }
            for worker in WORKERS {
                self.send(server, Asked::Nobody, resume(GateKind::Worker, Name::new(worker)));
            }
        }
        // Messages in flight, such as a requested pause, arrive before the servers are told to continue.
        let last = self.flights.iter().map(|flight| flight.at).max().unwrap_or(0);
        for flight in self.flights.iter_mut().rev() {
            if matches!(&flight.command, Command::LimitQueue(_) | Command::Pause(command::Pause { paused: false, .. }))
            {
                flight.at = last;
            }
        }
        for step in 0..STEPS_MAX {
            if self.is_done() {
                return self.ended();
            }
            if step % HELPED_EVERY == 0 {
                self.help_all();
            }
            let next = self.next_event().unwrap_or(self.steady_ms + 1_000);
            let wait = next.saturating_sub(self.steady_ms).min(WAIT_MAX);
            self.pass(wait.max(1));
            self.hosts_act();
            self.locals_act();
            self.servers_act()?;
        }
        let disk = self.disk.lock();
        let tasks: Vec<&Task> = disk.open_tasks().take(3).collect();
        let run = disk.open_runs.first().and_then(|run| disk.runs.get(run));
        let run = run.map(|shelf| (&shelf.row, &shelf.steps, &shelf.journal));
        Err(format!("I10: still open after {STEPS_MAX} quiet steps: {tasks:?}, {run:?}"))
    }

    fn is_done(&self) -> bool {
        let disk = self.disk.lock();
        self.flights.is_empty() && disk.open_runs.is_empty() && disk.open_tasks().next().is_none()
    }

    fn next_event(&self) -> Option<u64> {
        let flights = self.flights.iter().map(|flight| flight.at);
        let locals = self.locals.iter().map(|local| local.ends_at);
        let pool = self.pool.iter().map(|pooled| pooled.at);
        let servers = self.servers.iter().filter_map(|server| server.next(self.wall_ms, self.steady_ms));
        flights.chain(locals).chain(pool).chain(servers).chain(self.host_next()).min()
    }

    /// Checks that everything has ended: the stored state is consistent, and a server that starts on it finds no work.
    fn ended(&mut self) -> Result<(), String> {
        self.granted_once()?;
        let commits = {
            let disk = self.disk.lock();
            for shelf in disk.runs.values() {
                laws::folded(&disk, shelf, None).map_err(|law| format!("{}: {law}", shelf.row.id))?;
            }
            for task in disk.tasks.iter().flatten() {
                let recorded = disk.attempts.range((task.id, 0)..=(task.id, u32::MAX)).count() as u32;
                // A task that was retried by hand loses its counts, not its attempts.
                if recorded < task.failures + task.crashes || recorded > task.epoch {
                    return Err(format!("{recorded} attempts are recorded of {task:?}"));
                }
            }
            disk.commits
        };
        self.rights_ended()?;
        self.restart_all()?;
        let after = self.disk.lock().commits;
        if after != commits {
            Err(format!("a start with nothing open wrote {} turns", after - commits))
        } else {
            Ok(())
        }
    }

    pub(crate) fn story(&self) -> Story {
        let disk = self.disk.lock();
        let mut digest = disk.commits ^ (self.turns << 20);
        for task in disk.tasks.iter().flatten() {
            for part in [task.id.0 as u64, u64::from(task.epoch), u64::from(task.revision), task.state.kind() as u64] {
                digest = (digest ^ part).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
        let tasks = disk.tasks.iter().flatten().count() as u64;
        Story { turns: self.turns, commits: disk.commits, tasks, runs: disk.runs.len() as u64, digest }
    }
}

fn resume(kind: GateKind, name: Name) -> command::Pause {
    command::Pause { tenant: TenantId::DEFAULT, kind, name, paused: false, reason: "calm".into() }
}

/// Returns the number of the request that made a task, from its input.
pub(crate) fn token(disk: &Disk, task: &Task) -> Option<usize> {
    let bytes = match &task.input {
        Payload::Row(id) => disk.payload(*id)?,
        Payload::Inline(bytes) => bytes,
        Payload::None => return None,
    };
    let rest = bytes.strip_prefix(b"{\"r\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
