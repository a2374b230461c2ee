//! Conditions, inputs and outputs: what a workflow's expressions give.
//!
//! An evaluation carries ids, not values. It is done on the loop when every value it needs is at hand and small, and on
//! a thread of its own pool otherwise, so that no turn takes time in proportion to somebody's data.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kapelle_core::{
    Category, DurationMs, Name, Payload, RunId, TaskError, TaskId, TenantId, Timestamp,
    definition::{Action, BlockIx, Definition, StepDef, StepIx},
    expr::{Context, ExprError, Shared},
    run::{Phase, Run, ScopeId, Slot},
    task::{Task, TaskState},
    worker::Provenance,
};

use crate::turn::{Command, NewPayload};

/// What is to be evaluated.
#[derive(Debug, Clone)]
pub struct Evaluation {
    run: RunId,
    tenant: TenantId,
    definition: Arc<Definition>,
    inputs: Payload,
    started_at: Timestamp,
    target: Target,
    steps: Vec<StepValue>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Step { scope: ScopeId, slot: Slot, block: BlockIx },
    Outputs,
}

/// A step that is referred to.
#[derive(Debug, Clone)]
pub struct StepValue {
    name: Name,
    task: Option<TaskId>,
    phase: Phase,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluated {
    /// The input of a step, or the outputs of a run.
    Value(NewPayload),
    /// The condition is false; or there are no outputs.
    Nothing,
    /// It could not be evaluated.
    Invalid(Arc<TaskError>),
}

/// Where values come from. `None` means that the value is not at hand here.
pub trait Resolve {
    /// What is known of a task that is a step.
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>>;

    /// The value of a payload.
    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>>;
}

/// What expressions see of a task: `steps.x.output`, `steps.x.provider` and so on.
#[derive(Debug, Clone)]
pub struct TaskValue {
    output: Shared,
    error: Option<String>,
    provenance: Provenance,
    attempts: u32,
    duration: Option<DurationMs>,
}

impl TaskValue {
    /// Of a step that has no task.
    fn nothing() -> TaskValue {
        let (output, provenance) = (Shared::null(), Provenance::default());
        TaskValue { output, error: None, provenance, attempts: 0, duration: None }
    }

    /// Of a task whose output, if it has one, is this.
    #[must_use]
    pub fn of(task: &Task, output: Shared) -> TaskValue {
        let value = TaskValue { output, attempts: task.epoch, ..TaskValue::nothing() };
        match &task.state {
            TaskState::Succeeded { provenance, started_at, ended_at, .. } => {
                TaskValue { provenance: (**provenance).clone(), duration: Some(ended_at.since(*started_at)), ..value }
            }
            TaskState::Failed { error, .. } => TaskValue { error: Some(error.message.clone()), ..value },
            _ => value,
        }
    }

    fn fields(self, phase: Phase) -> Shared {
        let text = |text: Option<String>| Shared::from_json(&text.map_or(serde_json::Value::Null, Into::into));
        let number = |number: Option<u64>| Shared::from_json(&number.map_or(serde_json::Value::Null, Into::into));
        let cost = self.provenance.cost;
        Shared::map([
            ("output", self.output),
            ("state", text(Some(word(phase).to_owned()))),
            ("error", text(self.error)),
            ("provider", text(self.provenance.provider)),
            ("degraded", text(self.provenance.degraded)),
            ("attempts", number(Some(self.attempts.into()))),
            ("duration_ms", number(self.duration.map(|duration| duration.0))),
            ("cost", text(Some(cost.to_string()))),
            ("cost_nanousd", number(Some(cost.0))),
        ])
    }
}

impl Evaluation {
    /// The condition and input of a step.
    #[must_use]
    pub fn step(run: &Run, scope: ScopeId, slot: Slot) -> Option<Evaluation> {
        let step = run.step(scope, slot)?;
        let block = run.scopes.get(&scope)?.block;
        let mut names = Vec::new();
        for path in step.condition.iter().flat_map(|condition| condition.references()) {
            note(path, &mut names);
        }
        if let Action::Worker { with, .. } = &step.action {
            with.references().into_iter().for_each(|path| note(path, &mut names));
        }
        Some(Evaluation::new(run, scope, &names, Target::Step { scope, slot, block }))
    }

    /// The outputs of a run, when its definition names any.
    #[must_use]
    pub fn outputs(run: &Run) -> Option<Evaluation> {
        let outputs = run.definition.outputs.as_ref()?;
        let mut names = Vec::new();
        outputs.references().into_iter().for_each(|path| note(path, &mut names));
        Some(Evaluation::new(run, ScopeId::ROOT, &names, Target::Outputs))
    }

    fn new(run: &Run, scope: ScopeId, names: &[&str], target: Target) -> Evaluation {
        let state = run.scopes.get(&scope);
        let block = state.map(|state| run.definition.block(state.block));
        let value = |name: &&str| {
            let slot = Slot(block?.find(name)?.0);
            let slot = run.slot(scope, slot)?;
            Some(StepValue { name: Name::new(name), task: slot.task, phase: slot.phase })
        };
        Evaluation {
            run: run.id,
            tenant: run.tenant,
            definition: Arc::clone(&run.definition),
            inputs: run.inputs.clone(),
            started_at: run.created_at,
            target,
            steps: names.iter().filter_map(value).collect(),
        }
    }

    /// Evaluates; none when a value is not at hand.
    pub fn evaluate(&self, resolve: &dyn Resolve) -> Option<Evaluated> {
        let step = match self.target {
            Target::Step { block, slot, .. } => Some(self.definition.step(block, StepIx(slot.0))),
            Target::Outputs => None,
        };
        if let Some(constant) = step.and_then(constant_input) {
            return Some(constant);
        }
        let context = match self.context(resolve)? {
            Ok(context) => context,
            Err(error) => return Some(Evaluated::Invalid(Arc::new(error))),
        };
        // The language is guarded and fuzzed; should its engine panic all the same, one step fails and not the loop.
        let evaluated = catch_unwind(AssertUnwindSafe(|| match step {
            Some(step) => self.evaluate_step(step, &context),
            None => self.evaluate_outputs(&context),
        }));
        let evaluated = evaluated.unwrap_or_else(|_| {
            Err(TaskError::new(Category::Internal, "an expression made the engine of the language panic").permanent())
        });
        Some(evaluated.unwrap_or_else(|error| Evaluated::Invalid(Arc::new(error))))
    }

    fn evaluate_step(&self, step: &StepDef, context: &Context) -> Result<Evaluated, TaskError> {
        if let Some(condition) = &step.condition
            && !condition.eval_bool(context).map_err(|error| invalid("if", &error))?
        {
            return Ok(Evaluated::Nothing);
        }
        let Action::Worker { with, .. } = &step.action else { return Ok(Evaluated::Value(NewPayload::None)) };
        let input = with.render(context).map_err(|error| invalid("with", &error))?;
        payload(&input).map(Evaluated::Value)
    }

    fn evaluate_outputs(&self, context: &Context) -> Result<Evaluated, TaskError> {
        let Some(outputs) = &self.definition.outputs else { return Ok(Evaluated::Nothing) };
        let value = outputs.render(context).map_err(|error| invalid("outputs", &error))?;
        payload(&value).map(Evaluated::Value)
    }

    fn context(&self, resolve: &dyn Resolve) -> Option<Result<Context, TaskError>> {
        let inputs = match resolve.payload(&self.inputs)? {
            Ok(inputs) => inputs,
            Err(error) => return Some(Err(error)),
        };
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let value = match step.task {
                Some(task) if step.phase != Phase::Skipped => match resolve.task(self.tenant, task)? {
                    Ok(found) => found,
                    Err(error) => return Some(Err(error)),
                },
                _ => TaskValue::nothing(),
            };
            steps.push((step.name.to_string(), value.fields(step.phase)));
        }
        let run = serde_json::json!({ "id": self.run.to_string(), "started_at_ms": self.started_at.0 });
        let context = Context::new().with("inputs", inputs).with("run", Shared::from_json(&run));
        let vars = match self.definition.vars.render(&context) {
            Ok(vars) => Shared::from_json(&vars),
            Err(error) => return Some(Err(invalid("vars", &error))),
        };
        Some(Ok(context.with("vars", vars).with("steps", Shared::map(steps))))
    }

    /// The command that brings the result back to the loop.
    #[must_use]
    pub fn command(&self, evaluated: Evaluated) -> Command {
        match self.target {
            Target::Step { scope, slot, .. } => Command::BeginStep { run: self.run, scope, slot, evaluated },
            Target::Outputs => Command::FinishRun { run: self.run, evaluated },
        }
    }
}

/// The input of a step that refers to nothing.
fn constant_input(step: &StepDef) -> Option<Evaluated> {
    let Action::Worker { with, .. } = &step.action else { return None };
    if step.condition.is_some() {
        return None;
    }
    let constant = with.as_constant()?;
    Some(payload(constant).map_or_else(|error| Evaluated::Invalid(Arc::new(error)), Evaluated::Value))
}

/// `steps.name...` refers to the step `name`.
fn note<'a>(path: &'a kapelle_core::expr::Path, names: &mut Vec<&'a str>) {
    if let ("steps", Some(name)) = (path.root(), path.part(1))
        && !names.contains(&name)
    {
        names.push(name);
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending | Phase::Queued => "pending",
        Phase::Open => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed | Phase::Tolerated => "failed",
        Phase::Cancelled => "cancelled",
        Phase::Skipped => "skipped",
    }
}

fn invalid(field: &str, error: &ExprError) -> TaskError {
    TaskError::new(Category::InvalidInput, format!("`{field}` cannot be evaluated: {error}"))
}

/// Values up to this size are carried by the loop; a larger one is a file.
pub(crate) const BYTES_MAX: usize = kapelle_core::payload::ROW_MAX;

fn payload(value: &serde_json::Value) -> Result<NewPayload, TaskError> {
    if value.is_null() {
        return Ok(NewPayload::None);
    }
    let bytes = serde_json::to_vec(value)
        .map_err(|error| TaskError::new(Category::Internal, format!("the value cannot be written as JSON: {error}")))?;
    if bytes.len() > BYTES_MAX {
        let message = format!("the value is {} bytes of JSON, and at most {BYTES_MAX} may be handed over", bytes.len());
        return Err(TaskError::new(Category::InvalidInput, message));
    }
    Ok(NewPayload::Bytes(Arc::from(bytes)))
}
