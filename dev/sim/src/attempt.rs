//! Results of attempts, those in a server's process, and the pool that evaluates.

use std::sync::Arc;

use kapelle_core::{
    Category, DurationMs, Name, Payload, RunId, TaskError, TaskId, TenantId,
    expr::Shared as Value,
    run::{ScopeId, Slot},
    task::{Lease, Report, Task, TaskState},
};
use kapelle_engine::{
    Evaluated, Evaluation, Resolve, Show, TaskValue,
    turn::{Dispatch, NewPayload, Reported, command},
};

use crate::{
    disk::Shared,
    net::{Asked, Told},
    world::World,
};

/// An attempt in a server's own process.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) server: usize,
    report: Report,
    pub(crate) ends_at: u64,
    reported: Reported,
}

/// An evaluation in a server's pool.
#[derive(Debug)]
pub(crate) struct Pooled {
    pub(crate) server: usize,
    pub(crate) at: u64,
    evaluation: Box<Evaluation>,
}

impl Pooled {
    pub(crate) fn is_of(&self, run: RunId) -> bool {
        self.evaluation.place().0 == run
    }
}

impl World {
    /// Draws the duration and the report of an attempt.
    pub(crate) fn draw_attempt(&mut self, timeout_ms: u64) -> (u64, Reported) {
        if self.calm {
            return (self.rng.below(50), self.answer());
        }
        let manners = self.plan.manners.clone();
        let fail = |category, message: &str| Reported::Fail { error: TaskError::new(category, message) };
        let took = [5, 100, 1_500, 5_000][self.rng.place(4)];
        let took = self.rng.below(took);
        let hangs = self.rng.chance(manners.hang) || took >= timeout_ms;
        if hangs {
            return (timeout_ms, fail(Category::Timeout, "the attempt took too long"));
        }
        let reported = if self.rng.chance(manners.release) {
            Reported::Release
        } else if self.rng.chance(manners.panic) {
            fail(Category::Crashed, "the worker panicked")
        } else if self.rng.chance(manners.fatal) {
            fail(Category::InvalidInput, "not this input")
        } else if self.rng.chance(manners.fail) {
            let category = [Category::Unavailable, Category::RateLimited, Category::Provider][self.rng.place(3)];
            let error = TaskError::new(category, "not now");
            Reported::Fail { error: if self.rng.chance(100) { error.after(DurationMs(2_000)) } else { error } }
        } else {
            self.answer()
        };
        (took, reported)
    }

    fn answer(&mut self) -> Reported {
        let text = match self.rng.place(8) {
            0 => "null".to_owned(),
            1 => format!("{{\"v\":2,\"long\":\"{}\"}}", "x".repeat(600)),
            _ => format!("{{\"v\":1,\"t\":{}}}", self.rng.below(1_000)),
        };
        let output = if text == "null" { NewPayload::None } else { NewPayload::Bytes(Arc::from(text.as_bytes())) };
        Reported::Succeed { output, provenance: Arc::default() }
    }

    /// Begins an attempt in a server's process: its lease must be stored by now.
    pub(crate) fn dispatched(&mut self, server: usize, dispatch: &Dispatch) -> Result<(), String> {
        self.stored_lease(dispatch.task, &dispatch.lease, 0)?;
        let (took, reported) = self.draw_attempt(dispatch.timeout.0);
        let report = Report { task: dispatch.task, epoch: dispatch.lease.epoch, nonce: dispatch.lease.nonce };
        self.locals.push(Local { server, report, ends_at: self.steady_ms + took, reported });
        Ok(())
    }

    /// Checks that nothing is sent before its turn is committed.
    pub(crate) fn stored_lease(&self, task: TaskId, lease: &Lease, host: u32) -> Result<(), String> {
        let disk = self.disk.lock();
        let stored = disk.task(task).map(|task| &task.state);
        let same = matches!(stored, Some(TaskState::Running(other)) if other == lease && other.host == host);
        // Assigned and ended in one turn: the host learns it with its first heartbeat.
        let over = host != 0 && disk.task(task).is_some_and(|t| t.epoch == lease.epoch && t.state.kind().is_terminal());
        let same = same || over;
        if same { Ok(()) } else { Err(format!("{task} was given out with {lease:?}, and stored is {stored:?}")) }
    }

    /// Stops an attempt; some report nevertheless.
    pub(crate) fn stopped(&mut self, server: usize, task: TaskId) {
        let zombie = self.plan.faults.zombie;
        if self.calm || !self.rng.chance(zombie) {
            self.locals.retain(|local| local.server != server || local.report.task != task);
        }
    }

    /// Delivers the reports of attempts that are over, and finished evaluations.
    pub(crate) fn locals_act(&mut self) {
        let now = self.steady_ms;
        let mut at = 0;
        while at < self.locals.len() {
            if self.locals[at].ends_at > now {
                at += 1;
                continue;
            }
            let local = self.locals.swap_remove(at);
            let asked = Asked::Report(None, local.report, Told::of(&local.reported));
            self.send_inside(
                local.server,
                asked,
                command::Report { tenant: TenantId::DEFAULT, report: local.report, reported: local.reported },
            );
        }
        let mut at = 0;
        while at < self.pool.len() {
            if self.pool[at].at > now {
                at += 1;
                continue;
            }
            let pooled = self.pool.swap_remove(at);
            let evaluated = pooled.evaluation.evaluate(&Stored(&self.disk)).unwrap_or(Evaluated::Nothing);
            let command = pooled.evaluation.command(evaluated);
            if !self.calm && self.rng.chance(self.plan.faults.evaluate_twice) {
                self.send_inside(pooled.server, Asked::Nobody, command.clone());
            }
            self.send_inside(pooled.server, Asked::Nobody, command);
        }
    }

    pub(crate) fn evaluate(&mut self, server: usize, evaluation: Box<Evaluation>) {
        let at = self.steady_ms + if self.calm { 0 } else { self.rng.below(500) };
        self.pool.push(Pooled { server, at, evaluation });
    }
}

/// Values from the disk.
struct Stored<'a>(&'a Shared);

impl Stored<'_> {
    fn bytes(&self, payload: &Payload) -> Option<Arc<[u8]>> {
        match payload {
            Payload::Row(id) => self.0.lock().payload(*id).cloned(),
            other => other.inline().map(Arc::from),
        }
    }
}

impl Resolve for Stored<'_> {
    fn task(&self, _tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>> {
        let task = self.0.lock().task(id)?.clone();
        match &task.state {
            TaskState::Succeeded { output, .. } => {
                Some(self.payload(output)?.map(|output| TaskValue::of(&task, output)))
            }
            _ => Some(Ok(TaskValue::of(&task, Value::null()))),
        }
    }

    fn payload(&self, payload: &Payload) -> Option<Result<Value, TaskError>> {
        let bytes = self.bytes(payload)?;
        Some(Value::from_json_bytes(&bytes).map_err(|error| TaskError::new(Category::Internal, error.to_string())))
    }

    fn input(&self, _tenant: TenantId, id: TaskId) -> Option<Result<Value, TaskError>> {
        let input = self.0.lock().task(id)?.input.clone();
        self.payload(&input)
    }

    fn scope(&self, run: RunId, scope: ScopeId, show: &mut Show<'_>) -> Option<Result<(), TaskError>> {
        let rows: Vec<Task> = {
            let disk = self.0.lock();
            let places = disk.runs.get(&run)?.steps.range((scope, Slot(0))..=(scope, Slot(u32::MAX)));
            places.filter_map(|(_, task)| disk.task(*task).cloned()).collect()
        };
        for task in &rows {
            let output = match &task.state {
                TaskState::Succeeded { output, .. } => self.bytes(output)?,
                _ => Arc::default(),
            };
            if let Err(error) = show(task, &output) {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }

    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>> {
        Some(Ok(NewPayload::Bytes(Arc::from(json))))
    }

    fn admit(
        &self,
        _tenant: TenantId,
        _workflow: &Name,
        inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>> {
        Some(Ok(inputs))
    }
}
