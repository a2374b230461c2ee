//! Steps become rows.

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, TaskId, Timestamp,
    definition::{Action, StepDef},
    run::{Beginning, ScopeId, SkipReason, Slot, StepStart},
    task::{NewTask, Origin, Policy, Submit, Task, TaskState},
    worker::WorkerSpec,
};
use kapelle_store::StoreError;

use super::{
    command::{NewPayload, Reply},
    effect::Effect,
    turns::Turns,
};
use crate::{
    error::EngineError,
    evaluate::{Evaluated, Evaluation},
};

/// A step of a run.
pub(super) type Place = (ScopeId, Slot);

impl Turns {
    /// Evaluates a step here when everything it refers to is at hand and small, otherwise on the pool.
    pub(super) fn evaluate_step(&mut self, id: RunId, scope: ScopeId, slot: Slot) -> Result<(), StoreError> {
        let Some(evaluation) = self.cache.run(id).and_then(|run| Evaluation::step(run, scope, slot)) else {
            return Ok(());
        };
        match evaluation.evaluate(&self.cache) {
            Some(evaluated) => self.begin_evaluated(id, (scope, slot), &evaluated),
            None => {
                self.scratch.effects.push(Effect::Evaluate(Box::new(evaluation)));
                Ok(())
            }
        }
    }

    /// A step has been evaluated on the pool.
    pub(super) fn begin(
        &mut self,
        id: RunId,
        place: Place,
        evaluated: &Evaluated,
    ) -> Result<Result<Reply, EngineError>, StoreError> {
        if let Err(error) = self.load_run(id)? {
            return Ok(Err(error));
        }
        self.begin_evaluated(id, place, evaluated)?;
        self.scratch.touched.insert(id);
        Ok(Ok(Reply::Done))
    }

    fn begin_evaluated(&mut self, id: RunId, place: Place, evaluated: &Evaluated) -> Result<(), StoreError> {
        match evaluated {
            Evaluated::Value(input) => self.settle_step(id, place, Beginning::Start, Some(input)),
            Evaluated::Nothing => self.settle_step(id, place, Beginning::Skip(SkipReason::Condition), None),
            Evaluated::Invalid(error) => self.settle_step(id, place, Beginning::Invalid(Arc::clone(error)), None),
        }
    }

    /// The row of a step that was begun, left out, or failed before it began.
    pub(super) fn make_row(
        &mut self,
        run: RunId,
        (scope, slot): Place,
        id: TaskId,
        start: StepStart,
        input: Option<&NewPayload>,
    ) -> Result<(), StoreError> {
        let input = input.map_or(Ok(kapelle_core::Payload::None), |input| self.place(input))?;
        let now = self.scratch.now;
        let Some(run) = self.cache.run(run) else { return Ok(()) };
        let Some(step) = run.step(scope, slot) else { return Ok(()) };
        let worker = worker_of(step);
        let spec = self.directory.local(&worker);
        let queue = step.queue.clone().or_else(|| spec.as_ref().map(|spec| spec.queue.clone()));
        let new = NewTask {
            tenant: run.tenant,
            queue: queue.unwrap_or_else(|| Name::new("default")),
            worker,
            priority: i16::try_from(step.priority.clamp(-100, 100)).unwrap_or(0),
            key: None,
            input,
            origin: Some(Origin { run: run.id, scope, slot }),
            policy: Arc::new(policy(step, spec.as_deref(), now)),
            not_before: None,
        };
        let mut task = Submit { id, task: new, ageing: self.options.ageing }.decide(now);
        match start {
            StepStart::Task => self.insert(task),
            StepStart::Skipped(reason) => {
                task.state = TaskState::Skipped { reason: Arc::from(reason.as_str()), ended_at: now };
                self.insert_ended(task);
            }
            StepStart::Failed(error) => {
                task.state = TaskState::Failed { error, dead: false, ended_at: now };
                self.notify_failed_early(&task);
                self.insert_ended(task);
            }
        }
        Ok(())
    }

    fn insert_ended(&mut self, task: Task) {
        if !kapelle_core::mutant::planted(kapelle_core::mutant::Mutant::ForgottenRow) {
            self.cache.insert_task(task);
        }
    }
}

/// The worker that a step names. Steps of other kinds are refused before a run starts.
fn worker_of(step: &StepDef) -> Name {
    match &step.action {
        Action::Worker { worker, .. } => worker.clone(),
        _ => Name::new("none"),
    }
}

fn policy(step: &StepDef, spec: Option<&WorkerSpec>, now: Timestamp) -> Policy {
    Policy {
        retry: step.retry.clone().or_else(|| spec.and_then(|spec| spec.retry.clone())).unwrap_or_default(),
        timeout: step.timeout.or_else(|| spec.and_then(|spec| spec.timeout)),
        deadline: step.deadline.map(|span| now + span),
        expires: None,
        max_cost: spec.and_then(|spec| spec.max_cost),
    }
}
