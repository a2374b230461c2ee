//! Clients: they submit, start, cancel, retry, and repeat requests.

use std::sync::Arc;

use kapelle_core::{DurationMs, Name, TaskId, TenantId, Timestamp};
use kapelle_engine::{
    EngineError,
    turn::{Command, Key, Made, NewPayload, NewRun, Reply, Started, SubmitTask, VersionRef, command},
};
use kapelle_store::{GateKind, KeyReply};

use crate::{
    flow::{Flow, flow},
    net::Asked,
    plan::{WORKERS, retry},
    world::World,
};

/// Returns the workflow as the client that starts it submits it.
pub(crate) fn version(flow: &Flow) -> VersionRef {
    VersionRef::Source {
        definition: Arc::clone(&flow.definition),
        source: Arc::clone(&flow.source),
        sha256: flow.sha256,
        file: Arc::from("flow.yaml"),
    }
}

/// A request of a client, which may be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    command: Command,
    key: Option<Arc<str>>,
    /// Number of tasks. `None` for a run.
    count: Option<u32>,
    /// Acknowledged reply.
    acked: Option<KeyReply>,
    pub(crate) sent: u32,
}

impl World {
    pub(crate) fn clients_act(&mut self) -> Result<(), String> {
        if !self.rng.chance(self.plan.busy) {
            return Ok(());
        }
        let server = self.rng.place(self.servers.len());
        let reason: Arc<str> = Arc::from("by a client");
        match self.rng.place(30) {
            0..7 => self.submit(server),
            20..30 => self.steer(server)?,
            7..10 => self.start(server)?,
            10..13 if !self.requests.is_empty() => {
                let number = self.rng.place(self.requests.len());
                self.request(server, number);
            }
            13 | 14 => {
                let task = self.some_task();
                self.send(server, Asked::Cancel(task), command::Cancel { task, reason });
            }
            15 => {
                let run = self.some_run();
                self.send(server, Asked::CancelRun(run), command::CancelRun { run, reason });
            }
            16 | 17 => {
                let task = self.some_task();
                self.send(server, Asked::Nobody, command::RetryByHand { task, key: None });
            }
            18 => {
                let queue = Name::new(["default", "ml"][self.rng.place(2)]);
                if self.rng.chance(500) {
                    let slots = 1 + self.rng.below(3) as u32;
                    self.send(server, Asked::Nobody, command::LimitQueue { queue: queue.clone(), slots });
                }
                let (kind, name) = if self.rng.chance(500) {
                    (GateKind::Queue, queue)
                } else {
                    (GateKind::Worker, Name::new(WORKERS[self.rng.place(3)]))
                };
                let (tenant, paused) = (TenantId::DEFAULT, self.rng.chance(500));
                self.send(server, Asked::Nobody, command::Pause { tenant, kind, name, paused, reason });
            }
            _ => {}
        }
        Ok(())
    }

    fn some_task(&mut self) -> TaskId {
        let most = self.disk.lock().tasks.len() as u64 + 1;
        TaskId(1 + self.rng.below(most) as i64)
    }

    /// Draws one of a few keys, so that they are reused, or none.
    fn key(&mut self) -> Option<(Arc<str>, Key)> {
        if !self.rng.chance(500) {
            return None;
        }
        let key: Arc<str> = Arc::from(format!("k{}", self.rng.below(6)));
        let mut body = [0; 32];
        body[..8].copy_from_slice(&(self.requests.len() as u64).to_le_bytes());
        Some((Arc::clone(&key), Key { key, body }))
    }

    fn submit(&mut self, server: usize) {
        let token = self.requests.len();
        let count = if self.rng.chance(600) { 1 } else { 1 + self.rng.below(8) };
        let tasks: Arc<[SubmitTask]> = (0..count).map(|_| self.new_task(token)).collect();
        let key = self.key();
        let command =
            command::Submit { tenant: TenantId::DEFAULT, tasks, key: key.as_ref().map(|(_, key)| key.clone()) }.into();
        let key = key.map(|(name, _)| name);
        self.requests.push(Request { command, key, count: Some(count as u32), acked: None, sent: 0 });
        self.request(server, token);
    }

    fn new_task(&mut self, token: usize) -> SubmitTask {
        let pad = if self.rng.chance(100) { "x".repeat(600) } else { String::new() };
        let input = NewPayload::Bytes(Arc::from(format!("{{\"r\":{token},\"pad\":\"{pad}\"}}").as_bytes()));
        let mut task = SubmitTask::new(Name::new(WORKERS[self.rng.place(3)]), input);
        task.priority = self.rng.below(11) as i16 - 5;
        if self.rng.chance(200) {
            task.queue = Some(Name::new(["ml", "other"][self.rng.place(2)]));
        }
        if self.rng.chance(400) {
            task.key = Some(Name::new(["a", "b"][self.rng.place(2)]));
        }
        if self.rng.chance(200) {
            task.delay = DurationMs(self.rng.below(10_000));
        }
        if self.rng.chance(100) {
            task.deadline = Some(Timestamp(self.wall_ms + self.rng.below(20_000) as i64));
        }
        if self.rng.chance(100) {
            task.ttl = Some(DurationMs(self.rng.below(10_000)));
        }
        if self.rng.chance(300) {
            task.retry = Some(retry(&mut self.rng));
        }
        if self.rng.chance(100) {
            task.timeout = Some(DurationMs(300));
        }
        task
    }

    fn start(&mut self, server: usize) -> Result<(), String> {
        let number = self.plan.first_flow + self.rng.below(3);
        let flow = flow(number).map_err(|error| error.to_string())?;
        let name = flow.definition.name.clone();
        self.disk.lock().flows.insert(name, Arc::clone(&flow));
        let token = self.requests.len();
        let inputs = format!("{{\"a\":{},\"r\":{token}}}", self.rng.chance(500));
        let version = version(&flow);
        let run = NewRun {
            version,
            inputs: NewPayload::Bytes(Arc::from(inputs.as_bytes())),
            strategy: None,
            rerun: None,
            by: None,
        };
        let key = self.key();
        let command =
            command::StartRun { tenant: TenantId::DEFAULT, run, key: key.as_ref().map(|(_, key)| key.clone()) }.into();
        let key = key.map(|(name, _)| name);
        self.requests.push(Request { command, key, count: None, acked: None, sent: 0 });
        self.request(server, token);
        Ok(())
    }

    /// Sends a request, for the first time or again.
    fn request(&mut self, server: usize, number: usize) {
        let request = &mut self.requests[number];
        // Without a key a repetition is another request.
        if request.key.is_none() && request.sent > 0 {
            return;
        }
        request.sent += 1;
        let command = request.command.clone();
        self.send(server, Asked::Request(number), command);
    }

    pub(crate) fn add_request(&mut self, server: usize, command: impl Into<Command>) {
        let command = command.into();
        let token = self.requests.len();
        self.requests.push(Request { command, key: None, count: None, acked: None, sent: 0 });
        self.request(server, token);
    }

    pub(crate) fn request_answered(
        &mut self,
        number: usize,
        reply: Result<Reply, EngineError>,
        deaf: bool,
    ) -> Result<(), String> {
        let reply = match reply {
            Ok(Reply::Submit(Made { first, count, .. })) => KeyReply::Tasks(first, count),
            Ok(Reply::StartRun(Started { run, .. })) => KeyReply::Run(run),
            Err(EngineError::KeyReused(_)) => return self.key_refused(number),
            _ => return Ok(()),
        };
        self.exists(number, reply)?;
        let request = &self.requests[number];
        let lasts = request.key.is_some() && self.keys_last();
        if let Some(before) = request.acked.filter(|before| lasts && *before != reply) {
            return Err(format!("I9: one key gave {before:?} and {reply:?}"));
        }
        if !deaf || request.key.is_some() {
            self.requests[number].acked = Some(reply);
        }
        Ok(())
    }

    /// Tells whether keys are kept for longer than a seed lasts.
    pub(crate) fn keys_last(&self) -> bool {
        self.plan.options.key_retention.0 > 3_600_000
    }

    /// Checks that acknowledged tasks or runs exist, with the requested contents.
    fn exists(&self, number: usize, reply: KeyReply) -> Result<(), String> {
        let disk = self.disk.lock();
        match (reply, self.requests[number].count) {
            (KeyReply::Tasks(first, count), Some(wanted)) => {
                let there = (first.0..first.0 + i64::from(count)).all(|id| {
                    disk.task(TaskId(id)).is_some_and(|task| crate::drain::token(&disk, task) == Some(number))
                });
                if there && count == wanted {
                    Ok(())
                } else {
                    Err(format!("I1: {count} tasks from {first} were acknowledged and are not there"))
                }
            }
            (KeyReply::Run(run), None) if disk.runs.contains_key(&run) => Ok(()),
            (reply, _) => Err(format!("I1: {reply:?} was acknowledged for another request, or is not there")),
        }
    }

    fn key_refused(&self, number: usize) -> Result<(), String> {
        let key = &self.requests[number].key;
        let other = self.requests.iter().enumerate().any(|(at, request)| at != number && request.key == *key);
        if other && (self.requests[number].acked.is_none() || !self.keys_last()) {
            return Ok(());
        }
        Err(format!("I9: the key {key:?} of request {number} was refused, and nobody else used it before"))
    }

    /// Checks at the end that a request with a key was granted once, however often it was sent.
    pub(crate) fn granted_once(&self) -> Result<(), String> {
        let disk = self.disk.lock();
        let mut made = vec![0u32; self.requests.len()];
        for task in disk.tasks.iter().flatten().filter(|task| task.origin.is_none()) {
            if let Some(count) = crate::drain::token(&disk, task).and_then(|token| made.get_mut(token)) {
                *count += 1;
            }
        }
        for (number, request) in self.requests.iter().enumerate() {
            let (Some(count), Some(_), true) = (request.count, &request.key, self.keys_last()) else { continue };
            if made[number] != 0 && made[number] != count {
                return Err(format!("I9: request {number} for {count} tasks under one key made {}", made[number]));
            }
        }
        Ok(())
    }
}
