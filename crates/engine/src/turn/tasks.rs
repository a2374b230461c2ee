//! Commands to tasks.

use std::{collections::HashMap, sync::Arc};

use kapelle_core::{
    Category, Name, Requires, TaskError, TaskId, TenantId,
    mutant::{Mutant, planted},
    run::{Outcome, TaskEnded},
    task::{
        Cancel, Discard, Fail, NewTask, Policy, Rejection, Release, Report, RetryByHand, StateKind, Submit, Succeed,
        Task, TaskEvent, TaskState, WaitFor,
    },
    worker::WorkerSpec,
};
use kapelle_store::{IdKind, KeyReply, KeyRow, Lane, StoreError};

use super::{
    cache::Key,
    command::{self, Decide, Made, Reported, SubmitTask},
    effect::Effect,
    lanes::lane_of,
    runs::Answer,
    state::LoopState,
    steps::step_error,
};
use crate::error::EngineError;

impl Decide for command::Submit {
    fn decide(&self, state: &mut LoopState) -> Answer<Made> {
        state.submit(self.tenant, &self.tasks, self.key.as_ref())
    }
}

impl Decide for command::Report {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.report(self.tenant, &self.report, &self.reported)
    }
}

impl Decide for command::Cancel {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.cancel(self.task, &self.reason)
    }
}

impl Decide for command::RetryByHand {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.retry_by_hand(self.task)
    }
}

impl Decide for command::Discard {
    fn decide(&self, state: &mut LoopState) -> Answer {
        state.discard(self.task, &self.reason)
    }
}

impl LoopState {
    fn submit(&mut self, tenant: TenantId, tasks: &[SubmitTask], key: Option<&Key>) -> Answer<Made> {
        if let Some(key) = key {
            match self.used_key(tenant, key)? {
                Some(Ok(KeyReply::Tasks(first, count))) => {
                    return Ok(Ok(Made { first, count, repeated: true }));
                }
                Some(Ok(KeyReply::Run(_))) | Some(Err(())) => {
                    return Ok(Err(EngineError::KeyReused(key.key.to_string())));
                }
                None => {}
            }
        }
        if let Some(error) = self.refusal(tenant, tasks) {
            return Ok(Err(EngineError::Busy(Box::new(error))));
        }
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let first = TaskId(self.store.ids(IdKind::Task, count.max(1))?);
        let mut shared: Option<(Name, Arc<Policy>)> = None;
        for (number, task) in tasks.iter().enumerate() {
            let spec = self.spec(tenant, &task.worker);
            let plain = task.deadline.is_none() && task.ttl.is_none() && task.timeout.is_none();
            let plain = plain && task.retry.is_none() && task.max_cost.is_none() && task.requires.is_empty();
            let policy = match &shared {
                Some((worker, policy)) if plain && *worker == task.worker => Arc::clone(policy),
                _ => Arc::new(self.policy(task, spec.as_deref())),
            };
            if plain {
                shared = Some((task.worker.clone(), Arc::clone(&policy)));
            }
            let new = self.new_task(tenant, task, spec.as_deref(), policy)?;
            let id = TaskId(first.0 + number as i64);
            let mut made = Submit { id, task: new, ageing: self.options.ageing }.decide(self.scratch.now);
            if let Some(question) = task.cache.as_ref().filter(|_| task.delay.0 == 0) {
                if let Some(answered) = self.cached_answer(tenant, question)? {
                    made.state = answered;
                    self.cache.insert_task(made);
                    continue;
                }
                self.remember_question(tenant, question, id)?;
            }
            let keyed = made.key.is_some().then(|| made.clone());
            self.insert(made);
            if let Some(task) = keyed.filter(|task| task.state.kind() == StateKind::Ready) {
                self.make_room(&task)?;
            }
        }
        if let Some(key) = key {
            self.remember_key(tenant, key, KeyReply::Tasks(first, count));
        }
        Ok(Ok(Made { first, count, repeated: false }))
    }

    /// Why tasks are refused, when one is for a key of which as many run as may and the rule is to refuse.
    fn refusal(&self, tenant: TenantId, tasks: &[SubmitTask]) -> Option<TaskError> {
        let mut before: HashMap<&Name, usize> = HashMap::new();
        tasks.iter().filter(|task| task.key.is_some()).find_map(|task| {
            let queue = task.queue.clone().unwrap_or_else(|| self.queue_of(tenant, &task.worker));
            let earlier = before.entry(task.key.as_ref()?).or_default();
            // What it requires of hosts does not matter here.
            let lane = Lane { tenant, queue, worker: task.worker.clone(), requires: Requires::default() };
            let refused = self.refused(&lane, task.key.as_ref(), *earlier);
            *earlier += 1;
            refused
        })
    }

    fn policy(&self, task: &SubmitTask, spec: Option<&WorkerSpec>) -> Policy {
        let now = self.scratch.now;
        Policy {
            retry: task.retry.clone().or_else(|| spec.and_then(|spec| spec.retry.clone())).unwrap_or_default(),
            timeout: task.timeout.or_else(|| spec.and_then(|spec| spec.timeout)),
            deadline: task.deadline,
            expires: task.ttl.map(|ttl| now + ttl),
            max_cost: task.max_cost.or_else(|| spec.and_then(|spec| spec.max_cost)),
            requires: spec.map_or_else(|| task.requires.clone(), |spec| spec.requires.and(&task.requires)),
            recorded: false,
        }
    }

    fn new_task(
        &mut self,
        tenant: TenantId,
        task: &SubmitTask,
        spec: Option<&WorkerSpec>,
        policy: Arc<Policy>,
    ) -> Result<NewTask, StoreError> {
        let queue = task.queue.clone().or_else(|| spec.map(|spec| spec.queue.clone()));
        let delayed = task.delay.0 > 0;
        Ok(NewTask {
            tenant,
            queue: queue.unwrap_or_else(|| Name::new("default")),
            worker: task.worker.clone(),
            priority: task.priority,
            key: task.key.clone(),
            input: self.place(&task.input)?,
            origin: None,
            policy,
            not_before: delayed.then(|| self.scratch.now + task.delay),
        })
    }

    /// Takes a new task into the turn.
    pub(super) fn insert(&mut self, task: Task) {
        self.note_due(&task);
        self.offer(&task);
        self.cache.insert_task(task);
    }

    /// The key's reply, or that it was used for another body.
    pub(super) fn used_key(&mut self, tenant: TenantId, key: &Key) -> Result<Option<Result<KeyReply, ()>>, StoreError> {
        if planted(Mutant::IdempotencyIgnored) {
            return Ok(None);
        }
        let row = match self.cache.keys.get(&(tenant, Arc::clone(&key.key))) {
            Some(row) => Some(row.clone()),
            None => self.store.key(tenant, &key.key, self.scratch.now)?,
        };
        Ok(row.map(|row| if row.body == key.body { Ok(row.reply) } else { Err(()) }))
    }

    pub(super) fn remember_key(&mut self, tenant: TenantId, key: &Key, reply: KeyReply) {
        let until = self.scratch.now + self.options.key_retention;
        let row = KeyRow { tenant, key: Arc::clone(&key.key), body: key.body, reply, until };
        self.cache.keys.insert((tenant, Arc::clone(&key.key)), row);
    }

    /// Brings a task into memory.
    pub(super) fn load(&mut self, id: TaskId) -> Result<bool, StoreError> {
        if self.cache.task(id).is_some() {
            return Ok(true);
        }
        let Some(task) = self.store.task(id)? else { return Ok(false) };
        self.cache.tasks.insert(id, task);
        self.scratch.loaded.push(id);
        Ok(true)
    }

    /// Brings a task into memory to check a lease. Nobody is refused on what may be behind the store, which another
    /// server may have written since.
    pub(super) fn load_for(&mut self, report: &Report) -> Result<bool, StoreError> {
        let id = report.task;
        let holds = self.cache.task(id).map(|task| task.lease(report).is_ok());
        if holds == Some(false) && !self.cache.changed_tasks.contains_key(&id) {
            self.cache.tasks.remove(&id);
        }
        self.load(id)
    }

    pub(super) fn report(&mut self, tenant: TenantId, report: &Report, reported: &Reported) -> Answer {
        if !self.load_for(report)? {
            return Ok(Err(EngineError::NoSuchTask(report.task)));
        }
        // The same answer as to a wrong lease: another tenant learns nothing of the task, and nothing of it changes.
        if self.cache.task(report.task).is_some_and(|task| task.tenant != tenant) {
            return Ok(Err(Rejection::LeaseLost(report.task).into()));
        }
        let now = self.scratch.now;
        let Some(task) = self.cache.task(report.task) else { return Ok(Err(EngineError::NoSuchTask(report.task))) };
        // Refused before its payload is placed: a stale report writes nothing.
        let decided = match reported {
            Reported::Succeed { output, provenance } => {
                let early = Succeed {
                    report: *report,
                    output: kapelle_core::Payload::None,
                    provenance: Arc::clone(provenance),
                };
                match early.decide(task, now) {
                    Ok(_) => {
                        let output = self.place(output)?;
                        Ok(TaskEvent::Succeeded { output, provenance: Arc::clone(provenance), at: now })
                    }
                    Err(rejection) => Err(rejection),
                }
            }
            Reported::Fail { error } => {
                let random = (self.random)();
                let mut error = error.clone();
                // That an attempt was lost is for this side to say: a host that reports is there.
                if error.category == Category::LeaseLost && matches!(task.state, TaskState::Running(at) if at.host != 0)
                {
                    error.category = Category::Crashed;
                }
                Fail { report: *report, error, random }.decide(task, now)
            }
            Reported::Release => Release { report: *report, ageing: self.options.ageing }.decide(task, now),
        };
        match decided {
            Ok(event) => {
                self.change(report.task, &event)?;
                Ok(Ok(()))
            }
            Err(rejection) => {
                // Another server may have ended or given away what ran here; its slot is free all the same.
                self.limits.give_back_attempt(report.task, report.epoch);
                if !self.cache.task(report.task).is_some_and(|task| matches!(task.state, TaskState::Running(_))) {
                    self.end_right(report.task);
                }
                Ok(Err(rejection.into()))
            }
        }
    }

    pub(super) fn cancel(&mut self, id: TaskId, reason: &Arc<str>) -> Answer {
        if !self.load(id)? {
            return Ok(Err(EngineError::NoSuchTask(id)));
        }
        let Some(task) = self.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
        match (Cancel { reason: Arc::clone(reason) }).decide(task, self.scratch.now) {
            Ok(event) => {
                self.change(id, &event)?;
                Ok(Ok(()))
            }
            Err(rejection) => Ok(Err(rejection.into())),
        }
    }

    pub(super) fn retry_by_hand(&mut self, id: TaskId) -> Answer {
        if !self.load(id)? {
            return Ok(Err(EngineError::NoSuchTask(id)));
        }
        let Some(task) = self.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
        match (RetryByHand { ageing: self.options.ageing }).decide(task, self.scratch.now) {
            Ok(event) => {
                self.change(id, &event)?;
                Ok(Ok(()))
            }
            Err(rejection) => Ok(Err(rejection.into())),
        }
    }

    pub(super) fn discard(&mut self, id: TaskId, reason: &Arc<str>) -> Answer {
        if !self.load(id)? {
            return Ok(Err(EngineError::NoSuchTask(id)));
        }
        let Some(task) = self.cache.task(id) else { return Ok(Err(EngineError::NoSuchTask(id))) };
        match (Discard { reason: Arc::clone(reason) }).decide(task, self.scratch.now) {
            Ok(event) => {
                self.change(id, &event)?;
                Ok(Ok(()))
            }
            Err(rejection) => Ok(Err(rejection.into())),
        }
    }

    /// Applies an event to a task in memory and follows it up: its place in the order, its slot, its run.
    pub(super) fn change(&mut self, id: TaskId, event: &TaskEvent) -> Result<(), StoreError> {
        let shared = self.budget_retry(id, event);
        let event = shared.as_ref().unwrap_or(event);
        let Some(before) = self.cache.task(id) else { return Ok(()) };
        let left = matches!(before.state, TaskState::Waiting(WaitFor::Run(_))).then(|| before.clone());
        let state_before = before.state.kind();
        let was_running_here = matches!(before.state, TaskState::Running(lease) if lease.host == 0);
        if let TaskState::Ready { rank } = before.state {
            let lane = lane_of(before);
            self.lanes.withdraw(&lane, (rank, id));
        }
        self.scratch.due_changed |= before.due_at().is_some();
        let Some(task) = self.cache.evolve_task(id, event) else { return Ok(()) };
        let (kind, origin) = (task.state.kind(), task.origin.clone());
        let freed = task.key.clone().map(|key| (lane_of(task), key));
        if state_before == StateKind::Running && kind != StateKind::Running {
            self.limits.give_back(id);
        }
        if was_running_here && kind != StateKind::Running {
            let reported = matches!(event, TaskEvent::Succeeded { .. } | TaskEvent::WillRetry { .. });
            if !reported {
                self.scratch.effects.push(Effect::Stop(id));
            }
        }
        let task = task.clone();
        self.note_due(&task);
        self.note_retry_budget(state_before, &task);
        if matches!(state_before, StateKind::Running | StateKind::Ready) && kind != StateKind::Held {
            self.scratch.freed.extend(freed);
        }
        if kind == StateKind::Ready && !planted(Mutant::LostReady) {
            self.offer(&task);
            self.make_room(&task)?;
        }
        if let Some(before) = left.filter(|_| kind != StateKind::Succeeded) {
            self.leave_child(&before)?;
        }
        if (state_before == StateKind::Parked) != (kind == StateKind::Parked)
            && let Some(run) = task.origin.as_ref().map(|origin| origin.run)
            && self.load_run(run)?.is_ok()
        {
            self.note_money(run, id, kind);
        }
        if let (true, Some(origin)) = (kind.is_terminal(), origin) {
            let outcome = match kind {
                StateKind::Succeeded => Outcome::Succeeded,
                StateKind::Cancelled => Outcome::Cancelled,
                _ => Outcome::Failed,
            };
            let error = step_error(&task);
            let ended = TaskEnded { scope: origin.scope, slot: origin.slot, task: id, outcome, error };
            self.step_ended(origin.run, ended, &task)?;
        }
        Ok(())
    }

    fn offer(&mut self, task: &Task) {
        if let Some((_, dropped)) = self.lanes.offer(task) {
            self.cache.tasks.remove(&dropped);
        }
    }

    fn note_due(&mut self, task: &Task) {
        if let Some(due) = task.due_at() {
            self.next_due = Some(self.next_due.map_or(due, |known| known.min(due)));
        }
    }
}
