//! Messages in flight, and their results.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskId,
    task::{Rejection, Report, StateKind, TaskState},
};
use kapelle_engine::{
    EngineError,
    turn::{Command, Reply, Reported, Ticket},
};

use crate::{laws::signals, world::World};

/// A message to a server.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) at: u64,
    pub(crate) server: usize,
    /// Whether it was sent within the server's own process: it dies with it.
    pub(crate) inside: bool,
    pub(crate) ticket: Ticket,
    pub(crate) command: Command,
}

/// Sender of a message.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Nobody,
    /// A client's request, by its number.
    Request(usize),
    Cancel(TaskId),
    CancelRun(RunId),
    /// A signal, by its number.
    Signal(RunId, u64),
    Claim(usize),
    Beat(usize, Arc<[Report]>),
    /// A report, with the host if a host sent it.
    Report(Option<usize>, Report, Told),
}

/// Contents of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Succeeded,
    Failed,
    Released,
}

impl Told {
    pub(crate) fn of(reported: &Reported) -> Told {
        match reported {
            Reported::Succeed { .. } => Told::Succeeded,
            Reported::Fail { .. } => Told::Failed,
            Reported::Release => Told::Released,
        }
    }
}

impl World {
    /// Sends a message within a server's process: never lost, only late.
    pub(crate) fn send_inside(&mut self, server: usize, asked: Asked, command: impl Into<Command>) {
        let command = command.into();
        let at = self.steady_ms + self.rng.below(30);
        let ticket = self.ticket(asked);
        self.flights.push(Flight { at, server, inside: true, ticket, command });
    }

    /// Sends a message over the network.
    pub(crate) fn send(&mut self, server: usize, asked: Asked, command: impl Into<Command>) {
        let command = command.into();
        let faults = &self.plan.faults;
        let (drop, duplicate, delay) = (faults.drop, faults.duplicate, faults.delay);
        let ticket = self.ticket(asked);
        let copies = if self.calm { 1 } else { 1 + u8::from(self.rng.chance(duplicate)) };
        for _ in 0..copies {
            if !self.calm && self.rng.chance(drop) {
                continue;
            }
            let slow = !self.calm && self.rng.chance(delay);
            let at = self.steady_ms + if slow { self.rng.below(8_000) } else { self.rng.below(20) };
            self.flights.push(Flight { at, server, inside: false, ticket, command: command.clone() });
        }
    }

    fn ticket(&mut self, asked: Asked) -> Ticket {
        self.asked.push(asked);
        self.asked.len() as Ticket - 1
    }

    /// Takes the messages that have arrived at a server.
    pub(crate) fn arrived(&mut self, server: usize) -> Vec<kapelle_engine::turn::Input> {
        let most = 1 + self.rng.place(12);
        let mut inputs = Vec::new();
        let now = self.steady_ms;
        let mut at = 0;
        while at < self.flights.len() && inputs.len() < most {
            if self.flights[at].server == server && self.flights[at].at <= now {
                let flight = self.flights.remove(at);
                inputs.push(kapelle_engine::turn::Input { ticket: flight.ticket, command: flight.command });
            } else {
                at += 1;
            }
        }
        inputs
    }

    /// Handles an answer, given after a commit: its contents must be stored.
    pub(crate) fn answered(&mut self, ticket: Ticket, reply: Result<Reply, EngineError>) -> Result<(), String> {
        let Some(asked) = self.asked.get(ticket as usize).cloned() else { return Ok(()) };
        let deaf = !self.calm && self.rng.chance(self.plan.faults.deaf);
        match (asked, reply) {
            (Asked::Request(number), reply) => self.request_answered(number, reply, deaf),
            (Asked::Cancel(task), Ok(_)) => {
                let kind = self.disk.lock().task(task).map(|task| task.state.kind());
                if kind == Some(StateKind::Cancelled) {
                    Ok(())
                } else {
                    Err(format!("I5: {task} was cancelled, and is {kind:?}"))
                }
            }
            (Asked::CancelRun(run), Ok(_)) => {
                let disk = self.disk.lock();
                let word = disk.runs.get(&run).map(|shelf| shelf.row.status.kind().as_str());
                if matches!(word, Some("cancelling" | "cancelled")) {
                    Ok(())
                } else {
                    Err(format!("I5: {run} was cancelled, and is {word:?}"))
                }
            }
            (Asked::Signal(run, number), Ok(_)) => {
                let acked = self.acked.entry(number).or_default();
                *acked += 1;
                signals::there(&self.disk.lock(), run, number, *acked)
            }
            (Asked::Claim(host), Ok(Reply::Claim(tasks))) => self.claimed(host, tasks, deaf),
            (Asked::Beat(host, reports), Ok(Reply::Heartbeat(alive))) => {
                self.beaten(host, &reports, &alive, deaf);
                Ok(())
            }
            (Asked::Report(host, report, told), reply) => {
                self.reported(&report, told, &reply)?;
                if let (Some(host), false) = (host, deaf) {
                    let settled = !matches!(reply, Err(EngineError::Store(_) | EngineError::Stopped));
                    if settled {
                        self.hosts[host].tasks.retain(|held| held.report != report);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks that an accepted report is stored, and a refused one was stale.
    fn reported(&self, report: &Report, told: Told, reply: &Result<Reply, EngineError>) -> Result<(), String> {
        let disk = self.disk.lock();
        let Some(task) = disk.task(report.task) else {
            return Err(format!("{} was acknowledged, and is gone", report.task));
        };
        let holds = matches!(task.state, TaskState::Running(lease) if lease.epoch == report.epoch && lease.nonce == report.nonce);
        match reply {
            Ok(_) if holds => Err(format!("the report on {} was accepted, and it still runs", report.task)),
            Ok(_) if told == Told::Succeeded => {
                let stored = task.state.kind() == StateKind::Succeeded && task.epoch == report.epoch;
                if stored {
                    Ok(())
                } else {
                    Err(format!("I2: the answer of {} was accepted, and it is {:?}", task.id, task.state))
                }
            }
            Err(EngineError::Task(Rejection::LeaseLost(_))) if holds && self.servers.len() == 1 => {
                Err(format!("the holder of {} was refused", report.task))
            }
            _ => Ok(()),
        }
    }
}
