//! Commands to runs, and what is to be done for a run before its turn ends.

use std::sync::Arc;

use kapelle_core::{
    RunId, TaskError, TenantId,
    definition::Definition,
    mutant::{Mutant, planted},
    run::{BeginStep, Beginning, CancelRun, Completion, FinishRun, Run, RunEvent, RunStatus, TaskEnded, Verdict},
    task::{Task, TaskState},
};
use kapelle_store::{IdKind, KeyReply, RunRow, StoreError, VersionRow};

use super::{
    cache::Key,
    command::{NewRun, Reply, VersionRef},
    effect::Effect,
    turns::{CHILDREN_MAX, Turns},
};
use crate::{
    error::EngineError,
    evaluate::{Evaluated, Evaluation},
};

type Answer = Result<Result<Reply, EngineError>, StoreError>;

impl Turns {
    pub(super) fn start_run(&mut self, tenant: TenantId, new: &NewRun, key: Option<&Key>) -> Answer {
        if let Some(key) = key {
            match self.used_key(tenant, key)? {
                Some(Ok(KeyReply::Run(run))) => return Ok(Ok(Reply::Run { run, repeated: true })),
                Some(Ok(KeyReply::Tasks(..))) | Some(Err(())) => {
                    return Ok(Err(EngineError::KeyReused(key.key.to_string())));
                }
                None => {}
            }
        }
        let (version, definition) = match self.version(tenant, &new.version)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let id = RunId(self.store.ids(IdKind::Run, 1)?);
        let inputs = self.place(&new.inputs)?;
        let now = self.scratch.now;
        let mut run = Run::new(id, tenant, version, definition, inputs);
        run.strategy = new.strategy.clone().unwrap_or(run.strategy);
        self.cache.insert_run(run);
        self.record(id, &RunEvent::Started { version, at: now });
        self.scratch.touched.insert(id);
        if let Some(key) = key {
            self.remember_key(tenant, key, KeyReply::Run(id));
        }
        Ok(Ok(Reply::Run { run: id, repeated: false }))
    }

    /// The definition to run and the key of its version, which is made when the text is new.
    fn version(
        &mut self,
        tenant: TenantId,
        wanted: &VersionRef,
    ) -> Result<Result<(i64, Arc<Definition>), EngineError>, StoreError> {
        match wanted {
            VersionRef::Stored(id) => Ok(self.definition(*id)?.map(|definition| (*id, definition))),
            VersionRef::Source { definition, source, sha256, file } => {
                let mut fresh = self.cache.versions.iter().rev();
                let fresh = fresh.find(|row| row.tenant == tenant && row.workflow == definition.name).cloned();
                let newest = match fresh {
                    Some(row) => Some(row),
                    None => self.store.newest_version(tenant, &definition.name)?,
                };
                let number = newest.as_ref().map_or(0, |row| row.number);
                let id = match newest {
                    Some(row) if row.sha256 == *sha256 => row.id,
                    _ => {
                        let id = self.store.ids(IdKind::Version, 1)?;
                        self.cache.versions.push(VersionRow {
                            id,
                            tenant,
                            workflow: definition.name.clone(),
                            number: number + 1,
                            sha256: *sha256,
                            source: Arc::clone(source),
                            file: Arc::clone(file),
                            created_at: self.scratch.now,
                        });
                        id
                    }
                };
                let kept = self.definitions.entry(id).or_insert_with(|| Arc::clone(definition));
                Ok(Ok((id, Arc::clone(kept))))
            }
        }
    }

    fn definition(&mut self, id: i64) -> Result<Result<Arc<Definition>, EngineError>, StoreError> {
        if let Some(definition) = self.definitions.get(&id) {
            return Ok(Ok(Arc::clone(definition)));
        }
        let Some(row) = self.store.version(id)? else {
            return Ok(Err(EngineError::InvalidInput(format!("version {id} does not exist"))));
        };
        match Definition::parse(&row.source, &row.file) {
            Ok(definition) => {
                let definition = Arc::new(definition);
                self.definitions.insert(id, Arc::clone(&definition));
                Ok(Ok(definition))
            }
            Err(problems) => Ok(Err(EngineError::InvalidInput(problems.to_string()))),
        }
    }

    /// Brings a run into memory.
    pub(super) fn load_run(&mut self, id: RunId) -> Result<Result<(), EngineError>, StoreError> {
        if self.cache.run(id).is_some() {
            return Ok(Ok(()));
        }
        let Some((row, steps)) = self.store.run(id)? else { return Ok(Err(EngineError::NoSuchRun(id))) };
        let definition = match self.definition(row.version)? {
            Ok(definition) => definition,
            Err(error) => return Ok(Err(EngineError::Definition { run: id, message: error.to_string() })),
        };
        let mut run = from_row(row, definition);
        run.rebuild(&steps);
        self.cache.runs.insert(id, run);
        self.scratch.loaded_runs.push(id);
        Ok(Ok(()))
    }

    /// Writes an event to the journal of a run, applies it and tells those who watch.
    pub(super) fn record(&mut self, id: RunId, event: &RunEvent) {
        let now = self.scratch.now;
        self.notify_run(id, event);
        self.cache.evolve_run(id, event, now);
    }

    pub(super) fn cancel_run(&mut self, id: RunId, reason: &Arc<str>) -> Answer {
        if let Err(error) = self.load_run(id)? {
            return Ok(Err(error));
        }
        let Some(run) = self.cache.run(id) else { return Ok(Err(EngineError::NoSuchRun(id))) };
        match (CancelRun { reason: Arc::clone(reason) }).decide(run) {
            Ok(events) => {
                events.iter().for_each(|event| self.record(id, event));
                self.scratch.touched.insert(id);
                Ok(Ok(Reply::Done))
            }
            Err(rejection) => Ok(Err(rejection.into())),
        }
    }

    /// A task of a run has ended.
    pub(super) fn step_ended(&mut self, id: RunId, ended: TaskEnded, task: &Task) -> Result<(), StoreError> {
        if self.load_run(id)?.is_err() {
            return Ok(());
        }
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        match ended.decide(run) {
            Ok(events) => {
                self.notify_ended(id, ended, task);
                events.iter().for_each(|event| self.record(id, event));
            }
            // Its row was open, so the run in memory is behind what another server wrote: decide all of it again.
            Err(_) => self.scratch.stale = true,
        }
        if !planted(Mutant::JoinForgotten) {
            self.scratch.touched.insert(id);
        }
        Ok(())
    }

    /// Looks at every run that the turn touched: starts what is ready, ends what is done.
    pub(super) fn settle_runs(&mut self) -> Result<(), StoreError> {
        while let Some(id) = self.scratch.touched.pop_first() {
            if self.load_run(id)?.is_ok() {
                self.settle(id)?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, id: RunId) -> Result<(), StoreError> {
        let mut left = CHILDREN_MAX;
        loop {
            let next = self.cache.run_mut(id).map(|run| run.take_ready(left)).unwrap_or_default();
            if next.is_empty() {
                break;
            }
            left = left.saturating_sub(next.len());
            for step in next {
                match step.verdict {
                    Verdict::Skip(reason) => {
                        self.settle_step(id, (step.scope, step.slot), Beginning::Skip(reason), None)?;
                    }
                    Verdict::Start => self.evaluate_step(id, step.scope, step.slot)?,
                }
            }
        }
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        if run.has_ready() && left == 0 {
            self.scratch.more.insert(id);
        }
        if matches!(run.status, RunStatus::Cancelling { .. }) {
            self.cancel_tasks(id)?;
        }
        self.complete(id)
    }

    /// Cancels the open tasks of a run that is being cancelled, a bounded number a turn.
    fn cancel_tasks(&mut self, id: RunId) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        if planted(Mutant::CancelLeavesTasks) {
            return Ok(());
        }
        let open = run.open(CHILDREN_MAX);
        let reason: Arc<str> = Arc::from("its run was cancelled");
        for task in &open {
            let _ = self.cancel(*task, &reason)?;
        }
        // Every cancelled task touched the run again; what is left is done in the next turn.
        self.scratch.touched.remove(&id);
        if self.cache.run(id).is_some_and(|run| run.open_tasks > 0) && open.len() == CHILDREN_MAX {
            self.scratch.more.insert(id);
        }
        Ok(())
    }

    /// Ends a run that has nothing left to do.
    fn complete(&mut self, id: RunId) -> Result<(), StoreError> {
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        match run.completion() {
            None => Ok(()),
            Some(Completion::Cancelled) => self.finish_with(id, Evaluated::Nothing),
            Some(Completion::Stopped) => {
                let error = self.stopping_error(id)?;
                self.finish_with(id, Evaluated::Invalid(error))
            }
            Some(Completion::Outputs) => {
                let evaluation = Evaluation::outputs(run);
                match evaluation {
                    None => self.finish_with(id, Evaluated::Nothing),
                    Some(evaluation) => match evaluation.evaluate(&self.cache) {
                        Some(evaluated) => self.finish_with(id, evaluated),
                        None => {
                            self.scratch.effects.push(Effect::Evaluate(Box::new(evaluation)));
                            Ok(())
                        }
                    },
                }
            }
        }
    }

    /// The error of the step that stopped the run, with the step's path.
    fn stopping_error(&mut self, id: RunId) -> Result<Arc<TaskError>, StoreError> {
        let stopped_by = self.cache.run(id).and_then(|run| run.stopped_by);
        let mut error = TaskError::new(kapelle_core::Category::Internal, "a step failed");
        let Some(task) = stopped_by else { return Ok(Arc::new(error)) };
        if self.load(task)?
            && let (Some(task), Some(run)) = (self.cache.task(task), self.cache.run(id))
        {
            let path = task.origin.map(|origin| run.path(origin.scope, origin.slot)).unwrap_or_default();
            error = match &task.state {
                TaskState::Failed { error, .. } => {
                    TaskError { message: format!("step `{path}` failed: {}", error.message), ..(**error).clone() }
                }
                _ => TaskError::new(kapelle_core::Category::Cancelled, format!("step `{path}` was cancelled")),
            };
        }
        Ok(Arc::new(error))
    }

    /// The outputs of a run have been evaluated on the pool.
    pub(super) fn finish(&mut self, id: RunId, evaluated: &Evaluated) -> Answer {
        if let Err(error) = self.load_run(id)? {
            return Ok(Err(error));
        }
        let finished = self.cache.run(id).is_none_or(|run| run.completion() != Some(Completion::Outputs));
        if !finished {
            self.finish_with(id, evaluated.clone())?;
        }
        Ok(Ok(Reply::Done))
    }

    fn finish_with(&mut self, id: RunId, evaluated: Evaluated) -> Result<(), StoreError> {
        let error = match &evaluated {
            Evaluated::Invalid(error) => Some(Arc::clone(error)),
            _ => None,
        };
        let outputs = match &evaluated {
            Evaluated::Value(payload) => self.place(payload)?,
            _ => kapelle_core::Payload::None,
        };
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let Ok(events) = (FinishRun { error }).decide(run, self.scratch.now) else { return Ok(()) };
        events.iter().for_each(|event| self.record(id, event));
        if let Some(run) = self.cache.change_run(id)
            && let RunStatus::Succeeded { outputs: place, .. } = &mut run.status
        {
            *place = outputs;
        }
        Ok(())
    }

    /// Settles one step: its row, its events.
    pub(super) fn settle_step(
        &mut self,
        id: RunId,
        (scope, slot): super::steps::Place,
        beginning: Beginning,
        input: Option<&super::NewPayload>,
    ) -> Result<(), StoreError> {
        let task = kapelle_core::TaskId(self.store.ids(IdKind::Task, 1)?);
        let begin = BeginStep { scope, slot, beginning, task };
        let Some(run) = self.cache.run(id) else { return Ok(()) };
        let Ok((events, start)) = begin.decide(run) else { return Ok(()) };
        let input = input.filter(|_| start == kapelle_core::run::StepStart::Task);
        self.make_row(id, (scope, slot), task, start, input)?;
        events.iter().for_each(|event| self.record(id, event));
        Ok(())
    }
}

/// A run as its row has it, none of its steps begun.
fn from_row(row: RunRow, definition: Arc<Definition>) -> Run {
    let mut run = Run::new(row.id, row.tenant, row.version, definition, row.inputs);
    run.created_at = row.created_at;
    run.strategy = row.strategy;
    run.status = row.status;
    run.stopped_by = row.stopped_by;
    run.seq = row.seq;
    run.revision = row.revision;
    run
}
