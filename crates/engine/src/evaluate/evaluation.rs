//! Evaluations and their results.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kapelle_core::{
    Category, DurationMs, Payload, RunId, TaskError, TenantId, Timestamp,
    definition::Definition,
    expr::{Context, ExprError, Shared},
    run::{Phase, Run, ScopeId, Slot, StatusKind},
};
use serde::{Deserialize, Serialize};

use super::{
    begin::Begin,
    bindings::{Bindings, Failure, Names, error_value},
    close::Close,
    ending::{Ending, Start},
    value::{Resolve, TaskValue},
};
use crate::turn::{Command, NewPayload, Place, command};

/// One evaluation.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub(super) run: RunId,
    pub(super) tenant: TenantId,
    pub(super) definition: Arc<Definition>,
    pub(super) inputs: Payload,
    started_at: Timestamp,
    target: Target,
    bindings: Bindings,
}

#[derive(Debug, Clone)]
enum Target {
    Begin(Begin),
    Close(Close),
    End(Ending),
}

/// A list that has been parsed. Two are equal when their stored forms are, which are compared separately.
#[derive(Debug, Clone)]
pub struct List(pub Shared);

impl List {
    /// Reads the list from its stored form. A list in a file is read where it is needed.
    fn of(stored: &NewPayload) -> Result<List, ExprError> {
        match stored {
            NewPayload::Bytes(bytes) => Shared::from_json_bytes(bytes).map(List),
            NewPayload::None | NewPayload::File { .. } => Ok(List(Shared::null())),
        }
    }
}

impl PartialEq for List {
    fn eq(&self, _: &List) -> bool {
        true
    }
}

/// The list of a `for_each`. Serialised without the value, which is read from the stored form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredItems", into = "StoredItems")]
pub struct Items {
    /// Stored form of the list.
    pub list: NewPayload,
    /// Length.
    pub total: u32,
    /// The list as it was computed, so that the loop need not read it again for its items.
    pub value: List,
}

#[derive(Serialize, Deserialize)]
struct StoredItems {
    list: NewPayload,
    total: u32,
}

impl From<Items> for StoredItems {
    fn from(items: Items) -> StoredItems {
        StoredItems { list: items.list, total: items.total }
    }
}

impl TryFrom<StoredItems> for Items {
    type Error = ExprError;

    fn try_from(stored: StoredItems) -> Result<Items, ExprError> {
        let value = List::of(&stored.list)?;
        Ok(Items { list: stored.list, total: stored.total, value })
    }
}

/// Result of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluated {
    /// The input of a step, the message of an approval, or the outputs of a scope or a run.
    Value(NewPayload),
    /// The list of a `for_each`.
    Items(Items),
    /// The step may open its inner steps; of a branch: `then`.
    Open,
    /// The branch `else` is chosen.
    Otherwise,
    /// Duration of a timer.
    After(DurationMs),
    /// The `until` of a loop holds.
    Enough,
    /// The condition is false.
    Nothing,
    /// End of a run.
    Ended {
        /// Status with which it was about to end.
        status: StatusKind,
        /// Outputs, or the error.
        outputs: Result<NewPayload, Arc<TaskError>>,
        /// Runs that its end starts.
        starts: Vec<Start>,
    },
    /// It could not be evaluated.
    Invalid(Arc<TaskError>),
}

impl Evaluation {
    /// Makes the evaluation that begins a slot.
    #[must_use]
    pub fn begin(run: &Run, scope: ScopeId, slot: Slot) -> Option<Evaluation> {
        let begin = Begin::new(run, scope, slot)?;
        let mut names = Names::default();
        begin.note(&run.definition, &mut names);
        let bindings = Bindings::from(run, scope, slot, &names);
        Some(Evaluation::new(run, Target::Begin(begin), bindings))
    }

    /// Makes the evaluation of a done scope's output. Returns `None` for a loop, whose output is that of its last turn.
    #[must_use]
    pub fn close(run: &Run, scope: ScopeId) -> Option<Evaluation> {
        Some(Evaluation::new(run, Target::Close(Close::new(run, scope)?), Bindings::default()))
    }

    /// Makes the evaluation of a run's outputs, and of the inputs of the runs that its end starts. Returns `None`
    /// without both.
    #[must_use]
    pub fn ending(
        run: &Run,
        status: StatusKind,
        error: Option<Arc<TaskError>>,
        triggers: Vec<Arc<Definition>>,
    ) -> Option<Evaluation> {
        let outputs = run.definition.outputs.as_ref().filter(|_| status == StatusKind::Succeeded);
        if outputs.is_none() && triggers.is_empty() {
            return None;
        }
        let mut names = Names::default();
        names.note(outputs.iter().flat_map(|outputs| outputs.references()));
        let bindings = Bindings::from(run, ScopeId::ROOT, Slot(u32::MAX), &names);
        Some(Evaluation::new(run, Target::End(Ending { status, error, triggers }), bindings))
    }

    fn new(run: &Run, target: Target, bindings: Bindings) -> Evaluation {
        Evaluation {
            run: run.id,
            tenant: run.tenant,
            definition: Arc::clone(&run.definition),
            inputs: run.inputs.clone(),
            started_at: run.created_at,
            target,
            bindings,
        }
    }

    /// Evaluates. Returns `None` when a value is not available here.
    pub fn evaluate(&self, resolve: &dyn Resolve) -> Option<Evaluated> {
        // The language is guarded and fuzzed; if its engine panics nevertheless, one step fails and not the loop.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.try_evaluate(resolve)));
        let evaluated = evaluated.unwrap_or_else(|_| {
            let what = "an expression made the engine of the language panic";
            Some(Err(TaskError::new(Category::Internal, what).permanent()))
        });
        Some(evaluated?.unwrap_or_else(|error| Evaluated::Invalid(Arc::new(error))))
    }

    fn try_evaluate(&self, resolve: &dyn Resolve) -> Option<Result<Evaluated, TaskError>> {
        match &self.target {
            Target::Close(close) => close.evaluate(self, resolve),
            Target::Begin(begin) => begin.evaluate(self, resolve),
            Target::End(ending) => ending.evaluate(self, resolve).map(Ok),
        }
    }

    /// Returns all names of an expression.
    pub(super) fn context(&self, resolve: &dyn Resolve) -> Option<Result<Context, TaskError>> {
        let mut steps = Vec::with_capacity(self.bindings.steps.len());
        for step in &self.bindings.steps {
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
        let mut context = Context::new().with("run", Shared::from_json(&run)).with("steps", Shared::map(steps));
        // Inputs may be large; an expression without them and `vars` does not wait for them.
        if self.bindings.inputs {
            let inputs = match resolve.payload(&self.inputs)? {
                Ok(inputs) => inputs,
                Err(error) => return Some(Err(error)),
            };
            context = context.with("inputs", inputs);
            let vars = match self.definition.vars.render(&context) {
                Ok(vars) => Shared::from_json(&vars),
                Err(error) => return Some(Err(invalid("vars", &error))),
            };
            context = context.with("vars", vars);
        }
        if let Some(item) = self.bindings.item {
            let list = match resolve.input(self.tenant, item.list)? {
                Ok(list) => list,
                Err(error) => return Some(Err(error)),
            };
            let value = list.item(item.index as usize).unwrap_or_else(Shared::null);
            context = context.with("item", value).with("index", Shared::from_json(&item.index.into()));
        }
        if let Some(turn) = self.bindings.turn {
            let before = match turn.before.map(|task| resolve.task(self.tenant, task)) {
                None => Shared::null(),
                Some(found) => match found? {
                    Ok(value) => value.output(),
                    Err(error) => return Some(Err(error)),
                },
            };
            context = context.with("turn", Shared::from_json(&turn.number.into())).with("previous", before);
        }
        match self.failure(resolve)? {
            Ok(Some(error)) => context = context.with("error", error_value(&error)),
            Ok(None) => {}
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(context))
    }

    /// Returns the handled failure.
    fn failure(&self, resolve: &dyn Resolve) -> Option<Result<Option<Arc<TaskError>>, TaskError>> {
        let (task, told) = match &self.bindings.failure {
            None => return Some(Ok(None)),
            Some(Failure::Is(error)) => return Some(Ok(Some(Arc::clone(error)))),
            Some(Failure::Of(task)) => (*task, false),
            Some(Failure::Told(task)) => (*task, true),
        };
        Some(resolve.task(self.tenant, task)?.map(|value| {
            let error = if told { value.told() } else { value.error().map(Arc::new) };
            Some(error.unwrap_or_else(|| Arc::new(TaskError::new(Category::Internal, "a step failed"))))
        }))
    }

    /// Returns the run and position.
    #[must_use]
    pub fn place(&self) -> (RunId, Place) {
        let place = match &self.target {
            Target::Begin(Begin { scope, slot, .. }) => Place::Begin(*scope, *slot),
            Target::Close(Close { scope, .. }) => Place::Close(*scope),
            Target::End(_) => Place::End,
        };
        (self.run, place)
    }

    /// Makes the command that returns the result to the loop.
    #[must_use]
    pub fn command(&self, evaluated: Evaluated) -> Command {
        match &self.target {
            Target::Begin(Begin { scope, slot, .. }) => {
                command::BeginStep { run: self.run, scope: *scope, slot: *slot, evaluated }.into()
            }
            Target::Close(Close { scope, .. }) => {
                command::CloseScope { run: self.run, scope: *scope, evaluated }.into()
            }
            Target::End(_) => command::FinishRun { run: self.run, evaluated }.into(),
        }
    }
}

pub(super) fn invalid(field: &str, error: &ExprError) -> TaskError {
    TaskError::new(Category::InvalidInput, format!("`{field}` cannot be evaluated: {error}"))
}

/// Converts the value to a payload.
pub(super) fn keep(resolve: &dyn Resolve, value: &serde_json::Value) -> Option<Result<NewPayload, TaskError>> {
    if value.is_null() {
        return Some(Ok(NewPayload::None));
    }
    match serde_json::to_vec(value) {
        Ok(bytes) => resolve.keep(bytes),
        Err(error) => {
            let message = format!("the value cannot be written as JSON: {error}");
            Some(Err(TaskError::new(Category::Internal, message)))
        }
    }
}
